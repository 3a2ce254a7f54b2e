# SPDX-License-Identifier: MIT
"""The emulated board from Python: what is refused, the command line, ports, stale state files. QEMU is not started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import emulator, emulator_build, emulator_command, emulator_session, paths, sources, tool
from firmware.emulator import Emulator
from firmware.emulator_command import Direct, Plan, Start
from firmware.emulator_session import Session
from firmware.errors import TargetError, UserError
from firmware.qmp import Qmp

pytestmark = pytest.mark.unit

BOARD = boards.load(boards.DEFAULT_BOARD)
MIB = 1 << 20


def plan(**changes: object) -> list[str]:
    settings = Plan(BOARD, Path("/s/cyclone5.so"), Path("/c/card.img"), Path("/c/console"), 5, 2222, 7777)
    return emulator_command.plan(replace(settings, **changes))  # type: ignore[arg-type]


def file_of(folder: Path, size: int) -> Path:
    path = folder / "card.img"
    with path.open("wb") as stream:
        stream.truncate(size)
    return path


def test_two_who_wait_for_a_board_that_ends_both_hear_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, reaped = Emulator(BOARD, tmp_path / "card.img", tmp_path), os.pidfd_open
    machine._process = subprocess.Popen([tool.need("sleep", "coreutils"), "60"])

    def open_reaped(pid: int) -> int:
        assert machine._process is not None
        machine._process.kill()
        machine._process.wait()  # as another thread does between the look and this
        return reaped(pid)

    monkeypatch.setattr(os, "pidfd_open", open_reaped)
    assert machine.wait_off(0.0) == -signal.SIGKILL


# ---- what is refused ----


@pytest.mark.parametrize("size", [0, 4096, MIB + 512, 3 * MIB])
def test_card_of_a_wrong_size_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(UserError, match=r"valid: a power of two, at least"):
        emulator.check_card(file_of(tmp_path, size))


def test_missing_card_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no card .*nothing\.img"):
        Emulator(BOARD, tmp_path / "nothing.img", tmp_path / "run").start()
    assert not (tmp_path / "run").exists()


def test_card_of_a_running_board_is_refused(tmp_path: Path) -> None:
    card = file_of(tmp_path, 4 * MIB)
    with (
        emulator.locked(card),
        pytest.raises(UserError, match="is in use by another emulated board"),
        emulator.locked(card),
    ):
        pass
    with emulator.locked(card):
        pass


def test_snapshots_share_a_card_with_each_other_only(tmp_path: Path) -> None:
    card = file_of(tmp_path, 4 * MIB)
    with (
        emulator.locked(card, shared=True),
        emulator.locked(card, shared=True),
        pytest.raises(UserError, match="is in use"),
        emulator.locked(card),
    ):
        pass


@pytest.mark.parametrize("icount", [-1, 11])
def test_icount_out_of_range_is_refused(icount: int) -> None:
    with pytest.raises(UserError, match="valid: 0 to 10"):
        Start(icount=icount)


def test_sleep_without_icount_is_refused() -> None:
    with pytest.raises(UserError, match="together with icount"):
        Start(sleep=True)


def test_card_of_the_right_size_is_taken(tmp_path: Path) -> None:
    emulator.check_card(file_of(tmp_path, 4 * MIB))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("QEMU emulator version 8.2.1 (Debian 1:8.2.1+ds-2)", "8.2 is not supported"),
        ("QEMU emulator version 7.2.0", "is not Debian's"),
        ("", "it says 'nothing'"),
    ],
)
def test_unsupported_qemu_is_refused_and_the_valid_ones_are_named(said: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as error:
        emulator_build.parse(said)
    assert "Debian's 7.2 (bookworm) or 10.0 (trixie)" in str(error.value)


def test_version_is_that_of_the_source_package() -> None:
    seen = emulator_build.parse("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright")
    assert (seen.series, seen.package, seen.suite) == ((7, 2), "1:7.2+dfsg-7+deb12u18", "bookworm")


def test_qemu_whose_source_is_gone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def fetch(package: str, suite: str, binary: bool = False, refresh: bool = False) -> sources.Source:
        asked.append(refresh)
        return sources.Source(package, "1:7.2+dfsg-8", suite, "0", Path("/nowhere"))

    monkeypatch.setattr(sources, "fetch", fetch)
    with pytest.raises(UserError, match=r"is of version 1:7\.2\+dfsg-7, Debian bookworm has .* of 1:7\.2\+dfsg-8"):
        emulator_build.source(emulator_build.Installed((7, 2), "1:7.2+dfsg-7"))
    assert asked == [False, True], "the index is fetched anew before giving up"


# ---- the command line ----


def test_only_loopback_ports_are_forwarded() -> None:
    nic = plan()[plan().index("-nic") + 1]
    assert nic == "user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:7777-:7700"


def test_folder_for_tftp() -> None:
    nic = plan(start=Start(tftp=Path("/a,b")))
    assert nic[nic.index("-nic") + 1].endswith("-:7700,tftp=/a,,b")


def test_comma_in_a_path_stays_a_comma() -> None:
    assert "if=sd,format=raw,file=/a,,b/card.img" in plan(card=Path("/a,b/card.img"))


def test_facts_of_the_board_file_reach_the_fabric() -> None:
    argv = plan()
    assert f"cyclone5-fabric.id={BOARD.fabric.id}" in argv
    assert f"cyclone5-fabric.csr-offset={BOARD.fabric.msgdma.csr.offset}" in argv
    assert f"cyclone5-msgdma.depth={BOARD.fabric.msgdma.descriptor_depth}" in argv
    assert argv[argv.index("-m") + 1] == "1024M"


def test_copier_is_in_the_fabric_only_when_the_board_file_has_one() -> None:
    assert BOARD.fabric.copier is not None
    assert f"cyclone5-fabric.copier-csr-offset={BOARD.fabric.copier.csr.offset}" in plan()
    assert "copier" not in " ".join(plan(board=boards.load("sockit")))


def test_properties_can_be_set_and_override_the_board() -> None:
    argv = plan(options={"cyclone5-fabric.id": "7", "cyclone5-source.fifo-bytes": "4096"})
    assert "cyclone5-fabric.id=7" in argv
    assert "cyclone5-source.fifo-bytes=4096" in argv
    assert f"cyclone5-fabric.id={BOARD.fabric.id}" not in argv


def test_icount_is_off_unless_asked_for() -> None:
    assert "-icount" not in plan()
    assert "shift=3,sleep=off" in plan(start=Start(icount=3))
    assert "shift=0,sleep=on" in plan(start=Start(icount=0, sleep=True))


def test_card_is_written_unless_a_snapshot_is_asked_for() -> None:
    assert "-snapshot" not in plan()
    assert "-snapshot" in plan(start=Start(snapshot=True))


def test_direct_kernel_needs_no_card_to_start_from() -> None:
    direct = Direct(Path("/k/zImage"), Path("/k/board.dtb"), Path("/k/initrd"), "console=ttyS0")
    argv = plan(start=Start(direct=direct))
    words = ["-kernel", "/k/zImage", "-dtb", "/k/board.dtb", "-initrd", "/k/initrd", "-append", "console=ttyS0"]
    start = argv.index("-kernel")
    assert argv[start : start + len(words)] == words


def test_ports_are_free_and_different() -> None:
    ports = emulator.free_ports(4)
    assert len(set(ports)) == 4
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


# ---- sockets and QMP ----


def test_socket_works_at_a_path_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with emulator.listen(folder / "qmp.sock"), emulator.connect(folder / "qmp.sock"):
        pass


def test_nobody_listens_is_said(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="the emulated board does not run"):
        emulator.connect(tmp_path / "qmp.sock")


@pytest.fixture
def qemu() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def answer(connection: socket.socket, *lines: object) -> Callable[[], list[bytes]]:
    """Answer the negotiation with an empty result, the next command with `lines`; the commands, when all have come."""
    seen: list[bytes] = []

    def run() -> None:
        with connection.makefile("rb") as commands:
            connection.sendall(b'{"QMP": {}}\n')
            batches: tuple[Sequence[object], ...] = ([{"return": {}}], lines)
            for batch in batches:
                seen.append(commands.readline())
                connection.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in batch))

    thread = threading.Thread(target=run)
    thread.start()

    def finished() -> list[bytes]:
        thread.join()
        return seen

    return finished


def test_qmp_refusal_is_an_error_with_qemus_words(qemu: tuple[socket.socket, socket.socket]) -> None:
    finished = answer(qemu[1], {"error": {"class": "GenericError", "desc": "no such thing"}})
    with Qmp(qemu[0], "emulator") as session, pytest.raises(TargetError, match="QMP frob: no such thing"):
        session("frob")
    finished()


def test_qmp_of_a_dead_qemu_is_an_error(qemu: tuple[socket.socket, socket.socket]) -> None:
    qemu[1].close()
    with pytest.raises(TargetError, match="closed the connection"):
        Qmp(qemu[0], "emulator")


def test_event_that_came_before_the_answer_is_not_lost(qemu: tuple[socket.socket, socket.socket]) -> None:
    finished = answer(qemu[1], {"event": "STOP"}, {"return": {}})
    with Qmp(qemu[0], "emulator") as session:
        session("cont")
        session.wait_for("STOP", 1.0)
        with pytest.raises(TargetError, match="timed out"):
            session.wait_for("STOP", 0.01)
    finished()


def test_qmp_skips_events_and_spells_arguments(qemu: tuple[socket.socket, socket.socket]) -> None:
    finished = answer(qemu[1], {"event": "STOP"}, {"event": "RESET"}, {"return": 42})
    with Qmp(qemu[0], "emulator") as session:
        assert session("human-monitor-command", command_line="info") == 42
    assert json.loads(finished()[1]) == {"execute": "human-monitor-command", "arguments": {"command-line": "info"}}


# ---- the session ----


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    (tmp_path / "b" / "emulator").mkdir(parents=True)
    return tmp_path / "b" / "emulator" / "state.json"


def session(pid: int, card: str = "/c/card.img") -> Session:
    return Session("b", pid, 1, 2, card, "/c")


def test_no_state_file_means_off(build: Path) -> None:
    assert emulator_session.running("b") is None
    assert emulator_session.stop("b") is False


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_broken_state_file_means_off_and_goes(build: Path, text: str) -> None:
    build.write_text(text)
    assert emulator_session.running("b") is None
    assert not build.exists()


def test_number_of_another_program_means_off(build: Path) -> None:
    build.write_text(json.dumps(asdict(session(os.getpid()))))
    assert emulator_session.running("b") is None
    assert not build.exists()


def test_process_with_our_card_is_our_board(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = b"qemu-system-arm\0-drive\0if=sd,format=raw,file=/c/card.img\0"
    monkeypatch.setattr(Path, "read_bytes", lambda path: seen if path.name == "cmdline" else b"")
    build.write_text(json.dumps(asdict(session(os.getpid()))))
    assert emulator_session.running("b") == session(os.getpid())
    build.write_text(json.dumps(asdict(session(os.getpid(), "/c/other.img"))))
    assert emulator_session.running("b") is None


def test_console_of_a_board_that_is_off_is_refused(build: Path) -> None:
    with pytest.raises(UserError, match="the emulated b is off"):
        emulator_session.console("b")


def test_each_qemu_is_configured_as_its_source_wants() -> None:
    """7.2 refuses --python without a bundled meson; 10.0 finds Debian's meson by it only."""
    assert not any(option.startswith("--python") for option in emulator_build.configure("bookworm"))
    assert "--python=/usr/bin/python3" in emulator_build.configure("trixie")
