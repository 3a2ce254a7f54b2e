# SPDX-License-Identifier: MIT
"""Software that nobody here wrote, on one emulated board: iperf3 and stress-ng, and a boot log without a riddle.

The boot log is looked at first, before the other tests add to it. Which of its lines may look like errors stands in
docs/emulator.md; so do its devices.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from firmware import armhf
from firmware.emulator import free_ports
from tests.emulated import linux_devices
from tests.emulated.boot_log import NOT_ALWAYS, SUSPICIOUS, boot_log
from tests.emulated.conftest import Linux
from tests.explained import allowed, unexplained

pytestmark = pytest.mark.emulated

GATEWAY = "10.0.2.2"
SECONDS = 5
TCP_SECONDS = 60.0
STRESS_SECONDS = 180.0
LEAST_BITS = 1e6  # a second: what comes through even on a busy host


def test_a_new_error_would_be_seen() -> None:
    reasons = allowed()
    assert len(reasons) > 5
    lines = [
        "dw_mmc ff704000.mmc: data error -110",
        *(f"x: {p.replace(chr(92), '').replace('.*', '?')}" for p in reasons),
    ]
    assert unexplained(lines, reasons) == lines[:1]
    assert SUSPICIOUS.search("Unexpected interrupt latency")


def test_boot_log_has_no_line_without_a_reason(linux: Linux) -> None:
    console, kernel = boot_log(linux)
    assert unexplained(console + kernel, allowed()) == []


def test_each_line_with_a_reason_is_in_the_boot_log(linux: Linux) -> None:
    """One that no longer comes must leave the table."""
    log = linux.emulator.console_log.read_text(errors="replace") + linux.target.output(["dmesg"], sudo=True)
    gone = [p for p, reason in allowed().items() if NOT_ALWAYS not in reason and not re.search(p, log)]
    assert gone == []


def test_each_device_has_its_driver_or_a_reason(linux: Linux) -> None:
    assert linux_devices.unaccounted(linux) == []


def test_both_cores_are_online(linux: Linux) -> None:
    assert linux.target.get("/sys/devices/system/cpu/online") == "0-1\n"
    assert linux.target.output(["nproc"]) == "2\n"


@pytest.fixture(scope="module")
def tools(linux: Linux) -> armhf.Installed:
    return armhf.install(linux.target, "iperf3", "stress-ng")


def network_errors(linux: Linux) -> dict[str, int]:
    """All counters of errors and drops of the interface and of TCP."""
    found = {}
    statistics = json.loads(linux.target.output(["ip", "-json", "-s", "-s", "link", "show", "eth0"]))[0]["stats64"]
    for way in ("rx", "tx"):
        for name, value in statistics[way].items():
            if name not in ("bytes", "packets", "multicast", "carrier_changes"):
                found[f"{way} {name}"] = int(value)
    names = ("TcpInErrs", "TcpInCsumErrors", "IpInHdrErrors", "IpExtInCsumErrors", "UdpInErrors")
    for line in linux.target.output(["nstat", "-asz", *names]).splitlines()[1:]:
        found[line.split()[0]] = int(line.split()[1])
    assert len(found) > len(names)
    return found


@contextmanager
def iperf3_server() -> Iterator[int]:
    """The other side, on the host: the board connects to it by the user network's gateway."""
    (port,) = free_ports(1)
    command = ["iperf3", "--server", "--one-off", "--port", str(port), "--bind", "127.0.0.1", "--forceflush"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout
            for line in server.stdout:
                if "listening" in line:
                    break
            yield port
        finally:
            server.kill()


@pytest.mark.parametrize("direction", [(), ("--reverse",)], ids=["from the board", "to the board"])
def test_iperf3_runs_without_an_error(linux: Linux, tools: armhf.Installed, direction: tuple[str, ...]) -> None:
    before = network_errors(linux)
    with iperf3_server() as port:
        wanted = ("--client", GATEWAY, "--port", str(port), "--time", str(SECONDS), "--json", *direction)
        said: dict[str, Any] = json.loads(linux.target.output(tools.command("iperf3", *wanted), timeout=TCP_SECONDS))
    assert "error" not in said
    assert said["end"]["sum_received"]["bits_per_second"] > LEAST_BITS
    assert network_errors(linux) == before


def test_memory_of_both_cores_holds_what_is_written(linux: Linux, tools: armhf.Installed) -> None:
    wanted = ("--vm", "2", "--vm-bytes", "64M", "--vm-method", "all", "--verify", "--timeout", f"{SECONDS}s")
    command = tools.command("stress-ng", *wanted, "--temp-path", "/tmp", "--metrics-brief")  # noqa: S108  # the board's
    done = linux.target.run(command, timeout=STRESS_SECONDS)
    said = done.stdout + done.stderr
    assert done.status == 0, said
    assert re.search(r"passed: 2: vm \(2\)", said), said
    assert not re.search(r"failed: [1-9]|fail:", said), said


def test_nothing_of_this_was_too_much_for_the_kernel(linux: Linux) -> None:
    _, kernel = boot_log(linux)
    assert unexplained(kernel, allowed()) == []
