# SPDX-License-Identifier: MIT
"""The device goes away and comes back: views stay valid and read zeros, the service reports, waits and goes on."""

from __future__ import annotations

import json
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captured import ctl, mapping
from captured.errors import DeviceError, RefusedError
from captured.web import MAX_CONNECTIONS

from firmware.receiver import Receiver
from tests.unit.fake_ring import FakeRing
from tests.unit.test_service import PATIENCE, Bench

pytestmark = pytest.mark.unit


def test_what_cannot_be_mapped_is_an_error() -> None:
    with tempfile.TemporaryFile() as file, pytest.raises(OSError, match="Invalid argument"):
        mapping.Mapping(file.fileno(), 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        mapping.Mapping(-1, 4096)


def test_revoked_mapping_reads_zeros_under_living_numpy_views_and_is_given_back_after_them() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"\x05" * 16384)
        file.flush()
        made = mapping.Mapping(file.fileno(), 16384)
    part = made.view[4096:8192]
    samples = np.frombuffer(part, dtype="<u4")
    assert (samples == 0x05050505).all()
    with pytest.raises(TypeError):
        made.view[0] = 1
    made.revoke()
    made.revoke()
    assert not samples.any()
    assert bytes(part) == bytes(4096)
    del part
    mapping.sweep()
    assert made in mapping._revoked, "an array still looks at it"
    del samples
    mapping.sweep()
    assert made not in mapping._revoked


class Device:
    """Opens one fake ring after the other, or none."""

    def __init__(self, bench: Bench) -> None:
        """Take the place of the bench's own."""
        self.there = True
        self.bench = bench
        self.opened = 0

    def open(self) -> FakeRing:
        """What the service opens the device with."""
        if not self.there:
            raise DeviceError("/dev/capture0: No such file or directory")
        self.opened += 1
        self.bench.ring = FakeRing()
        return self.bench.ring

    def pull(self) -> None:
        """Every request fails from now on, as the driver's do when it is unbound."""
        self.there = False
        ring: Any = self.bench.ring

        def gone(*_: Any) -> Any:
            raise DeviceError("/dev/capture0: No such device")

        for name in ("start", "stop", "dequeue", "enqueue", "statistics"):
            setattr(ring, name, gone)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    bench = Bench(tmp_path)
    made = Device(bench)
    bench.service._open_ring = made.open
    bench.start()
    yield made
    bench.close()
    assert bench.failure is None


def test_device_that_goes_away_in_a_capture_ends_it_in_order_and_is_used_again(device: Device) -> None:
    bench = device.bench
    with Receiver("127.0.0.1", bench.port, "counter", PATIENCE) as receiver:
        bench.ask("start", clients=1)
        bench.ask_until(lambda seen: seen["blocks_taken"] > 4)
        device.pull()
        seen = receiver.run()
        assert seen.ended
        assert seen.corrupt == 0
        status = bench.ask_until(lambda seen: not seen["device"]["open"])
        assert "No such" in status["device"]["reason"]
        assert status["device"]["losses"] == 1
        with pytest.raises(RefusedError, match="waiting for the device"):
            bench.ask("start")
        device.there = True
        status = bench.ask_until(lambda seen: seen["device"]["open"])
        assert status["clients"] == 1, "readers stay connected"
        bench.ask("start", bytes=4096 * 10)
        assert receiver._next_header() is not None


def test_device_that_goes_away_while_idle_is_noticed(device: Device) -> None:
    device.bench.ask_until(lambda seen: seen["device"]["open"])
    device.pull()
    assert not device.bench.ask("status")["device"]["open"]


def test_health_names_a_missing_device_and_a_wrong_configuration(
    device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    control = ["--control", str(device.bench.path)]
    device.bench.config_path.write_text("[tcp]\nport = 0\n")
    assert "tcp.port" in device.bench.ask("reload")["error"]
    assert ctl.main([*control, "health"]) == 1
    assert "configuration is wrong" in capsys.readouterr().err
    device.pull()
    assert ctl.main([*control, "health"]) == 1
    assert "not open: /dev/capture0: No such device" in capsys.readouterr().err


def test_request_that_the_device_refuses_is_told_and_the_service_goes_on(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: Any) -> None:
        raise DeviceError("/dev/capture0: request 0x41: Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(device.bench.ring, "start", hang)
        with pytest.raises(RefusedError, match="Input/output error"):
            device.bench.ask("start")
    assert device.bench.ask("status")["device"]["open"]
    device.bench.ask("start", bytes=4096)


def get(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)  # ours
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:  # noqa: S310
            return int(reply.status), reply.read()
    except urllib.error.HTTPError as error:
        return int(error.code), error.read()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Bench, int]]:
    bench = Bench(tmp_path, web=True)
    bench.start()
    yield bench, bench.web_port
    bench.close()
    assert bench.failure is None


def test_page_is_for_loopback_names_only(web: tuple[Bench, int]) -> None:
    _bench, port = web
    assert get(port, "/status.json", Host="evil.example")[0] == 403
    assert get(port, "/../etc/passwd")[0] == 404
    assert get(port, "/", Host="x" * 9000)[0] == 400


def test_connection_too_many_ends_the_oldest_not_the_browsers(web: tuple[Bench, int]) -> None:
    _bench, port = web
    silent = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(MAX_CONNECTIONS)]
    assert get(port, "/")[0] == 200
    assert silent[0].recv(1) == b""
    for one in silent[1:]:
        one.sendall(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert one.recv(12) == b"HTTP/1.1 404"
    for one in silent:
        one.close()


def test_page_needs_nothing_from_elsewhere(web: tuple[Bench, int]) -> None:
    status, page = get(web[1], "/")
    assert status == 200
    text = page.decode()
    assert "http:" not in text
    assert "https:" not in text
    assert "src=" not in text
    assert "@import" not in text


def test_status_and_metrics_have_the_figures(web: tuple[Bench, int]) -> None:
    bench, port = web
    with bench.connect():
        bench.ask("start", bytes=40960, clients=1)
        bench.ask_until(lambda seen: seen["blocks_sent"] == 10)
        found = json.loads(get(port, "/status.json")[1])
        assert found["bytes_taken"] == 40960
        status, text = get(port, "/metrics")
    assert status == 200
    lines = text.decode().splitlines()
    assert "captured_bytes_sent_total 40960" in lines
    assert "captured_device_open 1" in lines
    assert any(line.startswith('captured_sink_bytes{sink="127.0.0.1:') for line in lines)
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(helped) == len(set(helped))
    assert all(line.startswith("#") or float(line.rsplit(" ", 1)[1]) >= 0 for line in lines)
