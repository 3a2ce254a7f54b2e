# SPDX-License-Identifier: MIT
"""Who may read, push, raw samples, and what `capturectl` shows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captured import benchmark, config, ctl, peer, sink_tcp, top
from captured.client import ask
from captured.errors import CapturedError, RefusedError
from captured.service import Service

from firmware import paths
from firmware.errors import TargetError
from firmware.receiver import Receiver
from tests.unit.fake_ring import FakeRing, counter, words
from tests.unit.test_service import ALLOWED, BOARD, PATIENCE, Bench

pytestmark = pytest.mark.unit


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.start()
    yield bench
    bench.close()
    assert bench.failure is None


def close_to_all(bench: Bench) -> None:
    bench.config_path.write_text(bench.config_path.read_text().replace(ALLOWED, "allow = []"))
    assert bench.ask("reload")["changed"] == ["tcp.allow"]


def test_nobody_reads_unless_allowed_and_a_grant_lets_in(running: Bench) -> None:
    close_to_all(running)
    with running.connect() as stranger:
        assert stranger.recv(1) == b""
    assert running.ask("status")["clients_refused"] == 1
    for wrong in ("everyone", "10.0.0.1/8", 5, None):
        with pytest.raises(RefusedError, match=r"address: .*valid: addresses and networks"):
            running.ask("allow", address=wrong)
    assert running.ask("allow", address="127.0.0.1")["allowed"] == "127.0.0.1/32"
    with running.connect():
        running.ask_until(lambda seen: seen["clients"] == 1)


def test_reader_that_is_taken_off_the_list_is_disconnected(running: Bench) -> None:
    with running.connect() as reader:
        running.ask_until(lambda seen: seen["clients"] == 1)
        close_to_all(running)
        with contextlib.suppress(ConnectionResetError):
            assert reader.recv(1) == b""
    assert running.ask("status")["clients"] == 0


def test_policy_that_is_changed_holds_for_readers_that_are_there(running: Bench) -> None:
    with running.connect():
        running.ask_until(lambda seen: seen["clients"] == 1)
        running.config_path.write_text(
            running.config_path.read_text().replace(ALLOWED, f"{ALLOWED}\npolicy = 'window'")
        )
        assert running.ask("reload")["changed"] == ["tcp.policy"]
        assert running.ask("sinks")["sinks"][0]["policy"] == "window"


def test_ipv4_reader_of_a_listener_for_both_is_seen_as_ipv4(tmp_path: Path) -> None:
    listener = sink_tcp.listen(0)
    settings = config.parse(f"[tcp]\n{ALLOWED}\n", BOARD)
    service = Service(BOARD, FakeRing, listener, tmp_path / "control.sock", settings)
    assert service.tcp.may_read("::ffff:127.0.0.1")
    assert service.tcp.may_read("127.3.2.1")
    assert not service.tcp.may_read("fe80::1%eth0")
    assert not service.tcp.may_read("128.0.0.1")
    service.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("::ffff:10.0.2.2", "10.0.2.2:7700"),
        ("10.0.2.2", "10.0.2.2:7700"),
        ("fe80::1%eth0", "[fe80::1%eth0]:7700"),
        ("lab-pc", "lab-pc:7700"),
    ],
)
def test_peer_is_named_as_a_person_writes_it(address: str, said: str) -> None:
    assert peer.name(address, 7700) == said


def test_raw_reader_gets_samples_only_and_the_connection_ends_with_the_capture(tmp_path: Path) -> None:
    raw = sink_tcp.listen(0, "127.0.0.1")
    bench = Bench(tmp_path, raw=raw)
    bench.start()
    with socket.create_connection(raw.getsockname(), timeout=PATIENCE) as reader:
        bench.ask("start", bytes=40960, clients=1)
        with reader.makefile("rb") as stream:
            data = stream.read()
    assert (np.frombuffer(data, "<u4") == words(counter(), 10240)).all()
    bench.close()
    assert bench.failure is None


def test_push_connects_by_itself_and_again_when_the_reader_was_away(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as away:
        port = away.getsockname()[1]
    bench = Bench(tmp_path, more=f'[[tcp.push]]\nhost = "127.0.0.1"\nport = {port}\n')
    bench.service.tcp._clock = time.monotonic
    bench.start()
    seen = bench.ask_until(lambda now: any(one.get("waiting") == "Connection refused" for one in now["sinks"]))
    assert seen["clients"] == 0
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(PATIENCE)
        first, _ = listener.accept()
        bench.ask_until(lambda now: now["clients"] == 1)
        first.close()
        second, _ = listener.accept()
        with second:
            second.settimeout(PATIENCE)
            bench.ask_until(lambda now: [one["kind"] for one in now["sinks"]] == ["push"] and "held" in now["sinks"][0])
            bench.ask("start", bytes=4096, clients=1)
            with second.makefile("rb") as stream:
                assert len(stream.read(48 + 4096 + 48)) == 48 + 4096 + 48
    bench.close()
    assert bench.failure is None


def options_of(client: Any) -> dict[str, int]:
    connection = client._socket
    return {
        "tos": connection.getsockopt(socket.IPPROTO_IP, socket.IP_TOS),
        "idle": connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        "pace": connection.getsockopt(socket.SOL_SOCKET, 47),
    }


def test_socket_options_are_the_configurations(tmp_path: Path) -> None:
    bench = Bench(tmp_path, more="tos = 16\nkeepalive_seconds = 77\nbandwidth = 1000000")
    with bench.connect():
        bench.step_until(lambda: len(bench.service.tcp.clients) == 1)
        assert options_of(bench.service.tcp.clients[0]) == {"tos": 16, "idle": 77, "pace": 1000000}
    bench.close()


def test_bandwidth_cap_is_kept(tmp_path: Path) -> None:
    """1 MB at 500 kB/s are 2 s, less what may go out at once; without the cap it is a fraction of a second."""
    size = 1_000_000
    bench = Bench(tmp_path, block_bytes=65536, more="bandwidth = 500000")
    bench.start()
    with Receiver("127.0.0.1", bench.port, "counter", PATIENCE) as receiver:
        begun = time.monotonic()
        bench.ask("start", bytes=size, clients=1)
        seen = receiver.run()
    assert (seen.whole, seen.bytes) == (True, size)
    assert time.monotonic() - begun > 1.2
    bench.close()
    assert bench.failure is None


def say(bench: Bench, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = ctl.main(["--control", str(bench.path), *arguments])
    return status, "".join(capsys.readouterr())


def test_capturectl_records_and_lists(running: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = say(running, capsys, "record", "--rate=5")
    assert (status, "--start" in said) == (2, True)
    status, said = say(running, capsys, "record-stop")
    assert (status, "nothing is being recorded" in said) == (2, True)
    assert say(running, capsys, "record", "--start", "--name=a", "--bytes=64KiB", "--json")[0] == 0
    running.ask_until(lambda seen: not seen["disk"]["recording"] and seen["disk"]["last"])
    status, said = say(running, capsys, "status")
    assert "last      a: 64.0 KiB in 1 file" in said
    with running.connect():
        running.ask_until(lambda seen: seen["clients"] == 1)
        status, said = say(running, capsys, "sinks")
        assert "\n127.0.0.1:" in said
        assert "gap" in said
        assert json.loads(say(running, capsys, "sinks", "--json")[1])["sinks"][0]["policy"] == "gap"
    status, said = say(running, capsys, "allow", "10.0.0.1/8")
    assert (status, "host bits 0" in said) == (2, True)
    assert say(running, capsys, "reload")[0] == 0


def test_top_shows_speed_ring_sinks_and_trouble(running: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = say(running, capsys, "top", "--once")
    assert status == 0
    assert "capture   none yet" in said
    assert "none: blocks go back at once" in said
    assert json.loads(say(running, capsys, "top", "--once", "--json")[1])["state"] == "idle"
    seen = running.ask("status")
    speeds = top.Speeds()
    speeds.look({**seen, "bytes_taken": 0}, 10.0)
    speeds.look({**seen, "bytes_taken": 4 << 20}, 12.0)
    lines = top.page({**seen, "capture": 1, "pattern": "counter"}, speeds)
    assert any("2.0 MiB/s" in line for line in lines)
    assert any("NO DEVICE" in line for line in top.page({**seen, "device": {**seen["device"], "open": False}}))
    assert len(top.sinks([])[0]) == 80, "a terminal's width: what was dropped is seen"
    assert top.bar(1, 2, 4) == "██··"
    assert top.sparks([0, 4]) == "▁█"
    assert top.amount(1536) == "1.5 KiB"


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf", "soon"])
def test_impossible_seconds_are_refused(running: Bench, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["top", f"--seconds={wrong}", "--once"], ["start", f"--patience={wrong}"]):
        with pytest.raises(SystemExit) as caught:
            say(running, capsys, *options)
        assert caught.value.code == 2
        assert "valid: seconds, at most" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "top"])
def test_pipe_whose_reader_has_seen_enough_is_no_traceback(running: Bench, command: str) -> None:
    """As with `capturectl top | head -1`: top is told by its second page, status by its only one."""
    code = "import sys; from captured import ctl; sys.exit(ctl.main(sys.argv[1:]))"
    options = ["--control", str(running.path), command, *(["--seconds=0"] if command == "top" else [])]
    with subprocess.Popen(
        [sys.executable, "-c", code, *options],
        env={"PYTHONPATH": str(paths.ROOT / "recipes/captured"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == ""
    assert done.returncode == 0


def test_terminal_without_the_bars_characters_gets_others(running: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    assert ctl.main(["--control", str(running.path), "status"]) == 0
    out.seek(0)
    assert "of 8 blocks" in out.read()


def test_who_may_not_ask_is_told_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", closed)
    with pytest.raises(CapturedError, match="in the group capture"):
        ask(tmp_path / "control.sock", {"command": "status"})


def test_peer_that_reads_no_replies_gets_no_torn_line(running: Bench) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(PATIENCE)
        one.connect(str(running.path))
        with contextlib.suppress(BrokenPipeError):
            for _ in range(2000):  # replies of more than a socket holds
                one.sendall(b'{"command": "status"}\n')
                time.sleep(0)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while part := one.recv(1 << 20):  # to the end: the connection is closed
                got += part
    lines = got.split(b"\n")
    assert len(lines) > 2
    assert all(json.loads(line)["ok"] for line in lines[:-1]), "only the last one may be torn"


class Shown:
    """`capturectl top` on a terminal."""

    def __init__(self, control: Path) -> None:
        """Started."""
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self.said = b""
        script = f"import sys; from captured import ctl; sys.exit(ctl.main(['--control', {str(control)!r}, 'top']))"
        environment = {**os.environ, "PYTHONPATH": str(Path(top.__file__).parents[1])}
        command = [sys.executable, "-c", script]
        self.process = subprocess.Popen(command, stdin=self.theirs, stdout=self.theirs, env=environment)

    def read_until(self, text: bytes) -> None:
        """More of what it shows, until `text` is among it; that is then forgotten."""
        while text not in self.said:
            assert select.select([self.ours], [], [], PATIENCE)[0], self.said
            self.said += os.read(self.ours, 4096)
        self.said = self.said[self.said.index(text) + len(text) :]

    def type(self, keys: bytes) -> None:
        """Type."""
        os.write(self.ours, keys)


@pytest.fixture
def shown(running: Bench) -> Iterator[Shown]:
    made = Shown(running.path)
    yield made
    made.process.kill()
    os.close(made.ours)
    os.close(made.theirs)


def test_top_is_left_by_q_and_puts_the_terminal_back(shown: Shown) -> None:
    shown.read_until(b"capture   none yet")
    assert not termios.tcgetattr(shown.theirs)[3] & termios.ECHO
    shown.type(b"x\n")
    shown.type(b"?q")
    assert shown.process.wait(PATIENCE) == 0
    shown.read_until(top._LEAVE.encode())
    assert termios.tcgetattr(shown.theirs) == shown.before


def test_top_goes_on_when_the_service_is_back(running: Bench, shown: Shown) -> None:
    shown.read_until(b"capture   none yet")
    away = running.path.with_name("away")
    running.path.rename(away)
    shown.read_until(b"looking again")
    away.rename(running.path)
    shown.read_until(b"capture   none yet")
    shown.type(b"q")
    assert shown.process.wait(PATIENCE) == 0


def test_benchmark_measures_each_writer_and_saves_the_quickest(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="valid: a block of 4096"):
        benchmark.run(tmp_path / "recordings", 1 << 20, 1000, False)
    with pytest.raises(RefusedError, match="bytes are free"):
        benchmark.run(tmp_path / "recordings", 1 << 60, 4096, False)
    found = benchmark.run(tmp_path / "recordings", 4 << 20, 1 << 20, True)
    speeds = found["mib_per_second"]
    assert isinstance(speeds, dict)
    assert sorted(speeds) == ["buffered", "direct", "mmap"]
    assert min(speeds.values()) > 0
    assert json.loads((tmp_path / "benchmark.json").read_text())["quickest"] == found["quickest"]
    assert list((tmp_path / "recordings").iterdir()) == []


def test_configuration_is_printed_or_refused_by_capturectl(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from captured import facts

    monkeypatch.setattr(facts, "load", lambda: BOARD)
    path = tmp_path / "captured.toml"
    path.write_text("[tcp]\nport = 7000\n")
    assert ctl.main(["config", "--check", str(path)]) == 0
    assert "port = 7000" in capsys.readouterr().out
    assert ctl.main(["config", "--check", f"{path}.typo"]) == 2
    assert "captured.toml.typo: no such file" in capsys.readouterr().err
    path.write_text("[tcp]\nprt = 7000\n")
    assert ctl.main(["config", "--check", str(path)]) == 2
    assert "tcp.prt: no such key" in capsys.readouterr().err


def test_refused_receiver_is_told_what_to_do(running: Bench) -> None:
    close_to_all(running)
    with Receiver("127.0.0.1", running.port, "counter", PATIENCE) as receiver, pytest.raises(TargetError) as caught:
        receiver.run()
    assert "capturectl allow" in str(caught.value) or "connection lost" in str(caught.value)


def test_many_captures_readers_and_recordings_leave_no_descriptor_behind(running: Bench) -> None:
    def once() -> None:
        with Receiver("127.0.0.1", running.port, "counter", PATIENCE) as receiver:
            running.ask_until(lambda seen: seen["clients"] == 1)
            running.ask("record", start=True, bytes=65536)
            assert receiver.run().ended
        running.ask_until(lambda seen: not seen["disk"]["recording"] and seen["clients"] == 0)

    once()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        once()
    after = len(list(Path("/proc/self/fd").iterdir()))
    assert after <= before + 1, "the last request's own connection may still be there"
    assert running.ask("status")["disk"]["last"]["files"] == 1
