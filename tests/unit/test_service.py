# SPDX-License-Identifier: MIT
# ruff: noqa: D102, D107  # stand-ins: their names say what they do
"""The service as a whole, over real sockets on loopback, with a ring that needs no hardware."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from captured import commands, config, control, ctl, facts, sink_tcp, zerocopy
from captured.client import ask
from captured.errors import CapturedError, RefusedError
from captured.service import Service

from firmware.receiver import Receiver, Reception
from tests.unit.fake_ring import FakeRing

pytestmark = pytest.mark.unit

BOARD = facts.Facts("de0-nano-soc", 0xCC5A0001, 4096, 8, 7700)
PATIENCE = 20.0
ALLOWED = 'allow = ["127.0.0.0/8"]'


class Bench:
    """A service that is stepped by the test or runs in a thread, and its clients."""

    def __init__(self, folder: Path, block_bytes: int = 4096, blocks: int = 8, more: str = "", **extra: Any) -> None:
        listener = sink_tcp.listen(0, "127.0.0.1")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # fills soon: partial sends, stalls
        self.port = int(listener.getsockname()[1])
        self.path = folder / "control.sock"
        self.ring = FakeRing(block_bytes, blocks)
        self.now = 0.0
        text = f"[tcp]\n{ALLOWED}\n{more}\n[disk]\nfolder = '{folder}/recordings'\nmin_free_bytes = 0\n"
        self.config_path = folder / "captured.toml"
        self.config_path.write_text(text)
        page = socket.create_server(("127.0.0.1", 0)) if extra.get("web") else None
        self.web_port = int(page.getsockname()[1]) if page else 0
        self.service = Service(
            BOARD,
            self.open_ring,
            listener,
            self.path,
            config.parse(text, BOARD),
            self.config_path,
            raw_listener=extra.get("raw"),
            web_listener=page,
        )
        self.service.tcp._clock = lambda: self.now
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)  # a test that fails must not keep pytest alive

    def open_ring(self) -> FakeRing:
        return self.ring

    def _run(self) -> None:
        try:
            self.service.run()
        except BaseException as error:
            self.failure = error

    def start(self) -> None:
        self.thread.start()

    def close(self) -> None:
        self.service.wake.send(b"x")
        if self.thread.ident is not None:
            self.thread.join(PATIENCE)
            assert not self.thread.is_alive()
        self.service.close()

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", self.port))
        return client

    def ask(self, command: str, **keys: Any) -> dict[str, Any]:
        """The reply; asked again while the service looks for recordings that a power cut has left."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return ask(self.path, {"command": command, **keys})
            except RefusedError as error:
                if "being repaired" not in str(error) or time.monotonic() > give_up:
                    raise

    def ask_until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status that fulfils `condition`."""
        give_up = time.monotonic() + PATIENCE
        while not condition(status := self.ask("status")):
            assert time.monotonic() < give_up, status
        return status

    def step_until(self, condition: Any) -> None:
        """Turn the loop by hand; each round waits for an event, so this ends or fails."""
        for _ in range(10_000):
            if condition():
                return
            self.service.tcp.tick()
            self.service.captures.give_back()
            self.service.step(0.01)
        pytest.fail(f"not reached: {self.service.tcp.counters}, {self.ring.statistics()}")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def running(bench: Bench) -> Bench:
    bench.start()
    return bench


def raw(bench: Bench, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(PATIENCE)
        channel.connect(str(bench.path))
        channel.sendall(data)
        channel.shutdown(socket.SHUT_WR)
        with channel.makefile("rb") as stream:
            return stream.read()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("start it", "not JSON"),
        ("[" * 4000, "not JSON"),
        ("[1]", "JSON object"),
        ('{"command": "explode"}', "'explode' (valid: start, stop, status, "),
        ('{"command": ["start"]}', "unknown command"),
        ('{"command": "stop", "now": 1}', "unknown key 'now' (valid: command)"),
        ('{"command": "start", "pattern": "sine"}', "pattern: 'sine' (valid: counter, prbs31, ramp, samples)"),
        ('{"command": "start", "pattern": 1}', "pattern: 1 (valid: counter, prbs31, ramp, samples)"),
        ('{"command": "start", "rate": -1}', "rate: -1 (valid: an integer from 0 to 4294967295)"),
        ('{"command": "start", "rate": true}', "rate: True"),
        ('{"command": "start", "rate": 1e6}', "rate: 1000000.0"),
        ('{"command": "start", "rate": NaN}', "rate: nan"),
        ('{"command": "start", "rate": 4294967296}', "rate: 4294967296"),
        ('{"command": "start", "bytes": 0}', "bytes: 0 (valid: an integer from 4"),
        ('{"command": "start", "bytes": 6}', "bytes: 6 (valid: a multiple of 4"),
        ('{"command": "start", "bytes": "1G"}', "bytes: '1G'"),
        ('{"command": "start", "clients": 2}', "0 readers are connected (valid: at least 2"),
        ('{"command": "stop"}', "no capture is running"),
    ],
)
def test_bad_request_is_refused_and_nothing_starts(running: Bench, line: str, named: str) -> None:
    reply = json.loads(raw(running, line.encode() + b"\n"))
    assert reply["ok"] is False
    assert named in reply["error"]
    assert running.ring.started == []


def test_refused_line_does_not_end_the_connection_but_a_too_long_one_does(running: Bench) -> None:
    lines = raw(running, b'nonsense\n{"command": "status"}\n').splitlines()
    assert [json.loads(line)["ok"] for line in lines] == [False, True]
    long = raw(running, b" " * (control.MAX_LINE_BYTES + 1)).splitlines()
    assert len(long) == 1
    assert "too long (valid: at most 4096 bytes)" in json.loads(long[0])["error"]
    assert running.ask("status")["state"] == "idle"


def test_start_while_one_runs_is_refused(running: Bench) -> None:
    running.ask("start")
    with pytest.raises(RefusedError, match=r"capture 1 is running \(valid: stop it first\)"):
        running.ask("start")
    running.ask("stop")
    assert running.ask("start")["capture"] == 2


def test_second_service_on_the_socket_is_refused_and_a_dead_ones_socket_is_replaced(running: Bench) -> None:
    with pytest.raises(CapturedError, match="another service answers"):
        control._listen(running.path)
    dead = running.path.with_name("dead.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    with control._listen(dead):
        assert dead.stat().st_mode & 0o777 == control.MODE


def receive(bench: Bench, pattern: str, then: Any) -> Reception:
    with Receiver("127.0.0.1", bench.port, pattern, PATIENCE) as receiver:
        then()
        return receiver.run()


@pytest.mark.parametrize("pattern", ["counter", "prbs31"])
def test_capture_arrives_whole_and_ends_at_the_byte(running: Bench, pattern: str) -> None:
    size = 100 * 4096 + 1000
    seen = receive(running, pattern, lambda: running.ask("start", pattern=pattern, bytes=size, clients=1))
    assert seen.whole
    assert (seen.bytes, seen.blocks) == (size, 101)
    status = running.ask("status")
    assert (status["bytes_taken"], status["bytes_sent"], status["blocks_sent"]) == (size, size, 101)
    assert status["copied"] == status["completions"] > 0, "loopback always copies, and the service says so"


def test_every_client_gets_every_record(running: Bench) -> None:
    results: list[Reception] = []
    receivers = [Receiver("127.0.0.1", running.port, "counter", PATIENCE) for _ in range(3)]
    threads = [threading.Thread(target=lambda r=one: results.append(r.run())) for one in receivers]
    for thread in threads:
        thread.start()
    running.ask("start", bytes=64 * 4096, clients=3)
    for thread in threads:
        thread.join(PATIENCE)
    assert [(seen.whole, seen.bytes) for seen in results] == [(True, 64 * 4096)] * 3
    for receiver in receivers:
        receiver.__exit__()


def test_without_a_client_blocks_go_back_at_once_and_are_counted(running: Bench) -> None:
    with running.connect() as none:
        none.close()
    running.ask("start", bytes=1000 * 4096)
    status = running.ask_until(lambda seen: seen["state"] == "idle")
    assert (status["blocks_taken"], status["blocks_sent"]) == (1000, 0)


def test_stop_delivers_what_was_filled_and_then_the_end(running: Bench) -> None:
    def start_and_stop() -> None:
        running.ask("start", clients=1)
        running.ask("stop")

    seen = receive(running, "counter", start_and_stop)
    assert seen.whole
    assert seen.bytes == running.ask("status")["bytes_taken"] >= running.ring.blocks * 4096


def test_loss_in_the_ring_travels_to_the_reader(running: Bench) -> None:
    running.ring.lose(250)
    seen = receive(running, "counter", lambda: running.ask("start", bytes=32 * 4096, clients=1))
    assert (seen.gaps, seen.lost_bytes, seen.missing_bytes, seen.corrupt) == (1, 1000, 1000, 0)
    assert seen.ended
    assert not seen.whole
    status = running.ask("status")
    assert (status["gaps"], status["lost_bytes"]) == (1, 1000)


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, block_bytes=512 << 10, blocks=8)
    yield made
    made.close()


def test_slow_reader_holds_the_source_back_and_then_gets_everything(big: Bench) -> None:
    big.service.tcp.accept_waiting()
    client = big.connect(receive_buffer=4096)
    big.step_until(lambda: len(big.service.tcp.clients) == 1)
    big.service.captures.start(commands.parse_order({"bytes": 40 * (512 << 10)}))
    big.step_until(lambda: len(big.ring.user) == big.ring.blocks)
    assert big.service.captures.running
    assert big.service.tcp.counters.blocks_sent < big.ring.blocks, "partial sends: the socket is full"
    big.start()
    received = 0
    with client:
        while received < 40 * (512 << 10) + 41 * 48:
            part = len(client.recv(1 << 20))
            assert part
            received += part
    assert big.failure is None


def test_reader_that_stalls_is_dropped_and_its_blocks_come_back(big: Bench) -> None:
    with big.connect(receive_buffer=4096), big.connect(receive_buffer=4096):
        big.step_until(lambda: len(big.service.tcp.clients) == 2)
        big.service.captures.start(commands.parse_order({}))
        big.step_until(lambda: len(big.ring.user) == big.ring.blocks)
        big.now = 10.0
        big.service.tcp.tick()
        assert len(big.service.tcp.clients) == 2, "not yet"
        big.now += 0.1
        big.service.tcp.tick()
        big.ring.paused = True
        big.step_until(lambda: not big.ring.user and big.service.tcp.idle)
    assert big.service.tcp.counters.clients_dropped == 2
    assert big.service.captures.running, "the capture goes on without them"


def test_reader_that_acknowledges_nothing_is_not_dropped_while_it_has_nothing_to_acknowledge(bench: Bench) -> None:
    with bench.connect():
        bench.step_until(lambda: len(bench.service.tcp.clients) == 1)
        bench.now = 1000.0
        bench.service.tcp.tick()
        assert len(bench.service.tcp.clients) == 1


def test_reader_that_dies_in_the_middle_disturbs_nobody(running: Bench) -> None:
    with running.connect() as doomed:
        running.ask("start", clients=1)
        assert doomed.recv(1)
    running.ask_until(lambda seen: seen["clients"] == 0)
    running.ask("stop")
    assert running.ask("status")["clients_dropped"] == 1
    seen = receive(running, "counter", lambda: running.ask("start", bytes=64 * 4096, clients=1))
    assert seen.whole
    assert running.failure is None


def test_no_buffers_falls_back_to_copying_and_the_stream_stays_whole(
    running: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Starved(socket.socket):
        def sendmsg(self, *_: Any) -> int:
            raise OSError(errno.ENOBUFS, "no buffers")

    class StarvedSender(zerocopy.Sender):
        def __init__(self, connection: socket.socket, counters: zerocopy.Counters, name: str) -> None:
            starved = Starved(fileno=os.dup(connection.fileno()))
            super().__init__(starved, counters, name)
            kept.append(starved)

    kept: list[Starved] = []
    monkeypatch.setattr(zerocopy, "Sender", StarvedSender)
    seen = receive(running, "counter", lambda: running.ask("start", bytes=32 * 4096, clients=1))
    assert seen.whole
    status = running.ask("status")
    assert (status["plain_bytes"], status["completions"]) == (32 * 4096, 0)
    assert status["no_buffers"] >= 32
    for one in kept:
        one.close()


def test_too_many_readers_are_refused(running: Bench) -> None:
    clients = [running.connect() for _ in range(16 + 1)]
    assert clients[-1].recv(1) == b""
    assert running.ask("status")["clients"] == 16
    for client in clients:
        client.close()


def test_stopping_the_service_ends_the_capture_in_order(bench: Bench) -> None:
    bench.start()
    with Receiver("127.0.0.1", bench.port, "counter", PATIENCE) as receiver:
        bench.ask("start", clients=1)
        bench.service.wake.send(b"x")
        seen = receiver.run()
        assert seen.whole
        assert seen.blocks >= bench.ring.blocks
    bench.thread.join(PATIENCE)
    assert not bench.thread.is_alive()
    assert bench.failure is None


def test_capturectl_speaks_and_says_how_it_went(running: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    socket_option = ["--control", str(running.path)]
    assert ctl.main([*socket_option, "health"]) == 0
    assert "board de0-nano-soc, fabric 0xcc5a0001" in capsys.readouterr().out
    assert ctl.main([*socket_option, "start", "--pattern=prbs31", "--rate=0", "--bytes=64KiB"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "capture": 1}
    assert ctl.main([*socket_option, "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes_wanted"] == 65536
    assert ctl.main([*socket_option, "start", "--bytes=5"]) == 2
    assert "multiple of 4" in capsys.readouterr().err
    assert ctl.main(["--control", str(running.path) + ".none", "health"]) == 1
    assert "does not answer" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        ctl.main([*socket_option, "start", "--bytes=-5"])
