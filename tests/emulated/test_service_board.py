# SPDX-License-Identifier: MIT
"""The service on the board: stream and record from one ring, a killed recording, a device that goes away, the page."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import urllib.request
from pathlib import Path

import pytest
import sigmf

from firmware import dashboard, pattern, reach, receiver
from firmware.forwarding import LOOPBACK, forward
from tests.emulated.conftest import Linux
from tests.emulated.service_board import RECORDINGS, control, fetch, wait, wait_for

pytestmark = pytest.mark.emulated

MIB = 1 << 20
DRIVER = "/sys/bus/platform/drivers/capture-ring"
DEVICE = "ff200000.capture"


def test_reader_that_nobody_let_in_is_refused(linux: Linux) -> None:
    wait_for(linux, '"open": true')
    stranger = socket.create_connection((reach.LOOPBACK, linux.emulator.stream_port), timeout=60)
    with stranger, contextlib.suppress(ConnectionResetError):
        assert stranger.recv(1) == b""
    assert control(linux, "status")["clients_refused"] == 1


def test_unit_is_closed_in(linux: Linux) -> None:
    said = linux.target.output(["systemd-analyze", "security", "captured.service", "--json=off"], sudo=True)
    exposure = float(said.strip().splitlines()[-1].split(":")[1].split()[0])
    assert exposure <= 2.5


def test_the_same_blocks_go_to_the_wire_and_to_the_disk(linux: Linux, tmp_path: Path) -> None:
    size = 12 * MIB + 1000

    def start() -> None:
        wait_for(linux, '"clients": 1,')
        words = ["record", "--start", "--name=both", f"--bytes={size}", "--rate=2MiB", "--pattern=prbs31"]
        assert control(linux, *words)["recording"] == "both"

    seen = receiver.receive(*linux.stream, pattern="prbs31", connected=start)
    assert seen.whole, str(seen)
    assert seen.bytes == size
    wait_for(linux, '"recording": false')
    status = control(linux, "status")
    last = status["disk"]["last"]
    assert (last["written"], last["error"], last["gaps"], last["writer"]) == (size, "", 0, "direct")
    assert status["copied"] == 0, "the stream's pages were not copied"
    for suffix in ("data", "meta"):
        (tmp_path / f"both.sigmf-{suffix}").write_bytes(fetch(linux, f"both.sigmf-{suffix}"))
    data = (tmp_path / "both.sigmf-data").read_bytes()
    checker = pattern.checker("prbs31")
    checker.check(data, gap=False, first=True)
    assert (len(data), checker.corrupt) == (size, 0)
    assert fetch(linux, "both.sha256").split()[0].decode() == hashlib.sha256(data).hexdigest()
    found = sigmf.sigmffile.fromfile(str(tmp_path / "both.sigmf-meta"))
    found.validate()
    assert found.get_annotations() == []


def test_killed_recording_is_repaired_at_the_next_start_and_says_so(linux: Linux) -> None:
    control(linux, "record", "--start", "--name=killed", "--rate=2MiB")
    wait(linux, "grep -q bytes " + f"{RECORDINGS}/killed.journal")
    linux.target.output(["systemctl", "kill", "-s", "KILL", "captured"], sudo=True)
    wait_for(linux, '"repaired": \\["killed: cut off while it was written')
    size = int(linux.target.output(["stat", "-c", "%s", f"{RECORDINGS}/killed.sigmf-data"], sudo=True))
    assert size > 0
    assert size % 4096 == 0
    linux.target.output(["sh", "-c", f"cd {RECORDINGS} && sha256sum -c killed.sha256"], sudo=True)
    wait_for(linux, '"open": true')


def test_device_that_is_unbound_in_a_capture_is_waited_for(linux: Linux) -> None:
    identity = linux.target.output(["systemctl", "show", "-P", "MainPID", "captured"])
    control(linux, "start", "--rate=2MiB")
    linux.target.output(["sh", "-c", f"echo {DEVICE} > {DRIVER}/unbind"], sudo=True)
    wait_for(linux, '"open": false')
    assert linux.target.run(["capturectl", "health"], sudo=True).status == 1
    linux.target.output(["sh", "-c", f"echo {DEVICE} > {DRIVER}/bind"], sudo=True)
    wait_for(linux, '"open": true')

    def start() -> None:
        wait_for(linux, '"clients": 1,')
        control(linux, "start", f"--bytes={16 * MIB}")

    assert receiver.receive(*linux.stream, pattern="counter", connected=start).whole
    assert linux.target.output(["systemctl", "show", "-P", "MainPID", "captured"]) == identity
    assert control(linux, "status")["device"]["losses"] == 1


def test_status_page_comes_through_ssh_only(linux: Linux) -> None:
    listening = linux.target.output(["ss", "-Hltn", "sport = :7701"])
    assert listening.split()[3] == "127.0.0.1:7701"
    with forward(linux.target, (LOOPBACK, dashboard.BOARD_PORT)) as port:
        for path, text in (("/", b"<title>Capture</title>"), ("/metrics", b"captured_device_open 1")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
                assert text in reply.read()


def test_wrong_configuration_keeps_nobody_out_of_the_board_and_health_says_so(linux: Linux) -> None:
    linux.target.put(b"[tcp]\npolicy = 'drop'\n", "/data/captured/captured.toml", sudo=True)
    linux.target.output(["systemctl", "restart", "captured"], sudo=True, timeout=180)
    done = linux.target.run(["capturectl", "health"], sudo=True)
    assert done.status == 1
    assert "tcp.policy: 'drop' (valid: wait, gap, window, disconnect)" in done.stderr
    linux.target.put(b"[tcp]\nallow = ['10.0.2.2']\n", "/data/captured/captured.toml", sudo=True)
    assert control(linux, "reload")["changed"] == ["tcp.allow"]
    assert linux.target.run(["capturectl", "health"], sudo=True).status == 0
    with socket.create_connection((reach.LOOPBACK, linux.emulator.stream_port), timeout=60):
        wait_for(linux, '"clients": 1,')
