# SPDX-License-Identifier: MIT
"""The emulated Ethernet and its faults: cable, loss, corruption, delay; counters and IEEE 1588 time.

On one board with Linux; what must be the same in each run is shown at U-Boot's prompt, where nothing else sends.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import armhf, reach
from firmware.emulator import Emulator
from firmware.errors import TargetError, UserError
from firmware.faults import Faults, Network
from tests.emulated import boot_card, waiting
from tests.emulated.conftest import Linux
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

GATEWAY = "10.0.2.2"
CONSOLE_SECONDS = 60.0
LOSSY_SECONDS = 120.0
PINGS = 200
PTP_CLOCK = """
import os, time
clock = (~os.open("/dev/ptp0", os.O_RDONLY) << 3) | 3  # clock_gettime(2), "Dynamic clocks"
first = second = time.clock_gettime(clock), time.monotonic()
while second[0] - first[0] < 0.1:
    second = time.clock_gettime(clock), time.monotonic()
print((second[0] - first[0]) / (second[1] - first[1]))
"""


@pytest.fixture(scope="module")
def tools(linux: Linux) -> armhf.Installed:
    return armhf.install(linux.target, "ethtool", "iputils-ping")


@pytest.fixture
def network(linux: Linux) -> Iterator[Network]:
    yield linux.faults.network
    linux.faults.network.heal()


def ping(linux: Linux, tools: armhf.Installed, count: int = PINGS) -> tuple[int, float]:
    """Answers that came, and the shortest round trip in milliseconds."""
    command = tools.command("ping", "-n", "-q", "-c", str(count), "-i", "0.01", "-W", "1", GATEWAY)
    said = linux.target.run(command, sudo=True, timeout=LOSSY_SECONDS).stdout
    received, shortest = re.search(r"(\d+) received", said), re.search(r"= ([\d.]+)/", said)
    assert received, said
    return int(received[1]), float(shortest[1]) if shortest else 0.0


def counters(linux: Linux, tools: armhf.Installed) -> dict[str, int]:
    """What `ethtool -S` says."""
    said = linux.target.output(tools.command("ethtool", "-S", "eth0"), sudo=True)
    return {name: int(value) for name, value in re.findall(r"(\w+): (\d+)$", said, re.MULTILINE)}


def test_senseless_values_are_refused(linux: Linux, network: Network) -> None:
    with pytest.raises(UserError, match=r"loss-tx, per mille: 1001 \(valid: 0 to 1000\)"):
        network.lose(sent=1001)
    with pytest.raises(UserError, match=r"seed: -1 \(valid: 0 to"):
        network.corrupt(1, seed=-1)
    with pytest.raises(UserError, match="microseconds of delay"):
        network.delay(10_000_001)
    with pytest.raises(TargetError, match=r"cyclone5-emac\.loss-rx is 1001 \(valid: 0 to 1000\)"):
        network.set("loss-rx", 1001)
    with pytest.raises(TargetError, match="lost-rx"):
        network.set("lost-rx", 1)
    assert linux.target.boot_id()


def test_lost_frames_are_counted_and_missed(linux: Linux, network: Network, tools: armhf.Installed) -> None:
    network.lose(received=200)
    came, _ = ping(linux, tools)
    lost = network.lost[1]
    assert 15 <= lost <= 90
    assert PINGS - lost <= came < PINGS
    network.lose(sent=200)
    came, _ = ping(linux, tools)
    lost = network.lost[0]
    assert 15 <= lost <= 90
    assert PINGS - lost <= came < PINGS
    network.heal()
    assert ping(linux, tools)[0] == PINGS


def test_corrupted_frames_are_dropped_and_counted_by_the_controller(
    linux: Linux, network: Network, tools: armhf.Installed
) -> None:
    before = counters(linux, tools)["mmc_rx_crc_error"]
    network.corrupt(200)
    came, _ = ping(linux, tools)
    bad = network.corrupted
    network.set("corrupt-rx", 0)
    assert bad > 0
    assert PINGS - bad <= came < PINGS
    assert counters(linux, tools)["mmc_rx_crc_error"] - before == bad


def test_data_comes_whole_through_a_lossy_network(linux: Linux, network: Network) -> None:
    data = bytes(range(256)) * 2048
    network.lose(received=5)
    said = linux.target.output(["sha256sum"], stdin=data, timeout=LOSSY_SECONDS)
    assert said.split()[0] == hashlib.sha256(data).hexdigest()
    network.lose(sent=20)
    back = linux.target.output(["sh", "-c", "head -c 524288 /dev/zero | tr '\\0' x"], timeout=LOSSY_SECONDS)
    assert back == "x" * (1 << 19)
    assert network.lost[0] > 0
    resent = int(linux.target.output(["nstat", "-az", "TcpRetransSegs"]).split()[-2])
    assert resent > 0


def test_delay_adds_to_the_round_trip_and_keeps_all_frames(
    linux: Linux, network: Network, tools: armhf.Installed
) -> None:
    network.delay(50_000)
    came, shortest = ping(linux, tools, 20)
    assert came == 20
    assert shortest >= 50
    network.delay(0)
    came, shortest = ping(linux, tools, 20)
    assert came == 20
    assert shortest < 50


def test_unplugged_cable_is_seen_by_linux_and_stops_the_traffic(linux: Linux, network: Network) -> None:
    boot = linux.target.boot_id()
    network.unplug()
    linux.emulator.wait_console("eth0: Link is Down", CONSOLE_SECONDS)
    lost = network.lost[1]
    with socket.create_connection((reach.LOOPBACK, linux.emulator.ssh_port)) as stranger:
        waiting.until(lambda: network.lost[1] > lost + 1, CONSOLE_SECONDS)  # what asks for it, and asks again
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(1)
    network.plug()
    linux.emulator.wait_console("eth0: Link is Up - 1Gbps/Full", CONSOLE_SECONDS)
    linux.target.close()
    assert linux.target.wait_for_reboot("") == boot


def test_cable_pulled_for_a_moment_is_noticed_too(linux: Linux, network: Network) -> None:
    """The PHY's link bit is latched low: between two looks of Linux, which come once a second."""
    network.unplug()
    network.plug()
    linux.emulator.wait_console("eth0: Link is Down", CONSOLE_SECONDS)
    linux.emulator.wait_console("eth0: Link is Up", CONSOLE_SECONDS)


def test_management_counters_count(linux: Linux, tools: armhf.Installed) -> None:
    before = counters(linux, tools)
    assert ping(linux, tools, 50)[0] == 50
    now = counters(linux, tools)
    grown = {name: now[name] - before[name] for name in now}
    for name in ("mmc_rx_icmp_gd", "mmc_rx_unicast_g", "mmc_rx_ipv4_gd", "mmc_tx_unicast_gb", "mmc_tx_framecount_g"):
        assert 50 <= grown[name] < 150, name
    assert grown["mmc_rx_icmp_gd_octets"] == 50 * 64
    sizes = [value for name, value in grown.items() if re.match(r"mmc_rx_(64|\d+_to_\w+)_octets_gb", name)]
    assert sum(sizes) == grown["mmc_rx_framecount_gb"]


def test_ipv6_router_is_heard_through_the_multicast_filter(linux: Linux) -> None:
    assert "fec0::" in linux.target.output(["ip", "-6", "address", "show", "dev", "eth0", "scope", "site"])
    assert "33:33:00:00:00:01" in linux.target.output(["ip", "maddress", "show", "dev", "eth0"])


def test_ptp_clock_runs_at_the_tenth_that_the_manual_makes_of_it(linux: Linux) -> None:
    """docs/emulator.md: 25 MHz that mainline's device tree takes for 250 MHz."""
    rate = float(linux.target.output(["python3", "-c", PTP_CLOCK], sudo=True))
    assert 0.099 < rate < 0.101


@pytest.fixture
def prompt(tmp_path: Path) -> Iterator[tuple[Prompt, Network]]:
    """U-Boot with an address, in virtual time: a ping that gets no answer costs no seconds of ours."""
    machine = Emulator(boot_card.BOARD, boot_card.make(tmp_path / "card.img"), tmp_path / "run")
    machine.start(icount=8)
    found = Prompt(machine)
    found.run("setenv ipaddr 10.0.2.15; setenv netmask 255.255.255.0")
    yield found, Faults(machine).network
    machine.stop()


def test_equal_seeds_lose_the_same_frames(prompt: tuple[Prompt, Network]) -> None:
    u_boot, network = prompt

    def pattern(seed: int) -> list[int]:
        network.lose(received=400, seed=seed)
        return [u_boot.attempt(f"ping {GATEWAY}").status for _ in range(8)]

    first = pattern(3)
    assert set(first) == {0, 1}
    assert pattern(3) == first
    assert pattern(4) != first


def test_u_boot_sees_that_the_cable_is_out(prompt: tuple[Prompt, Network]) -> None:
    u_boot, network = prompt
    assert u_boot.attempt(f"ping {GATEWAY}").status == 0
    network.unplug()
    assert u_boot.attempt(f"ping {GATEWAY}").status == 1
    network.plug()
    assert u_boot.attempt(f"ping {GATEWAY}").status == 0
