# SPDX-License-Identifier: MIT
"""The emulated board's console: typing, waiting, and the terminal. QEMU is not started: a process plays the board."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from firmware import emulator_command, emulator_console
from firmware.emulator_console import Reader
from firmware.emulator_session import Session
from firmware.errors import TargetError

pytestmark = pytest.mark.unit

SECONDS = 20.0
US = os.getpid()
# Says what is typed in capitals, as QEMU does: the FIFO stays open both ways, the log is written from its start.
BOARD = """
import os, sys
typed = os.open("console.in", os.O_RDWR)
said = os.open("console.out", os.O_RDWR)
os.write(said, b"ready\\r\\n")
while True:
    os.write(said, os.read(typed, 100).upper())
"""
TERMINAL = """
import sys
from pathlib import Path
from firmware import emulator_session, paths
paths.BUILD = Path(sys.argv[1])
emulator_session.console("b")
"""


@dataclass
class Played:
    """A process that plays the board, and what `./inv emulate` knows about it."""

    process: subprocess.Popen[bytes]
    folder: Path
    build: Path


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Played]:
    folder = tmp_path / "build/b/emulator"
    folder.mkdir(parents=True)
    emulator_console.create(folder)
    command = [sys.executable, "-c", BOARD, emulator_command.drive(Path("/c/card.img"))]
    with subprocess.Popen(command, cwd=folder) as process:
        state = Session("b", process.pid, 1, 2, "/c/card.img", str(folder))
        (folder / "state.json").write_text(json.dumps(asdict(state)))
        Reader(folder).wait("ready", process.pid, SECONDS)
        yield Played(process, folder, tmp_path / "build")
        process.kill()


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    emulator_console.create(tmp_path)
    (tmp_path / "qemu.log").write_text("")
    return tmp_path


def test_typing_to_a_board_that_never_ran_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No such file or directory: the emulated board does not run"):
        emulator_console.enter(tmp_path, "help\n")


def test_typing_to_a_board_that_is_off_is_refused(silent: Path) -> None:
    with pytest.raises(TargetError, match="the emulated board does not run"):
        emulator_console.enter(silent, "help\n")


def test_what_is_never_said_is_told_with_what_was(silent: Path) -> None:
    emulator_console.log(silent).write_text("something else\n")
    with pytest.raises(TargetError, match=r"(?s)'ready': not seen within 0 s:\nsomething else"):
        Reader(silent).wait("ready", US, 0.05)


def test_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No such file"):
        Reader(tmp_path).wait("ready", US, SECONDS)


def test_end_of_the_board_ends_the_wait(silent: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "print('over')"], stdout=subprocess.DEVNULL) as ending,
        pytest.raises(TargetError, match="QEMU has ended"),
    ):
        Reader(silent).wait("ready", ending.pid, SECONDS)
    with pytest.raises(TargetError, match="is off"):
        Reader(silent).wait("ready", ending.pid, SECONDS)


def test_each_wait_goes_on_behind_the_last_match(silent: Path) -> None:
    emulator_console.log(silent).write_bytes(b"boot 1\r\nboot 2\r\n")
    reader, other = Reader(silent), Reader(silent)
    assert [reader.wait(r"boot (\d)\n", US, SECONDS)[1] for _ in range(2)] == ["1", "2"]
    assert other.wait(r"boot (\d)\nboot 2", US, SECONDS)[1] == "1"
    with pytest.raises(TargetError):
        reader.wait("boot", US, 0.01)


def test_wait_ends_when_the_last_byte_has_come(silent: Path) -> None:
    def say() -> None:
        with emulator_console.log(silent).open("ab", buffering=0) as log:
            for byte in b"U-Boot 2025.01\r\n":
                log.write(bytes([byte]))

    saying = threading.Thread(target=say)
    saying.start()
    assert Reader(silent).wait(r"U-Boot (\d+\.\d+)\n", US, SECONDS)[1] == "2025.01"
    saying.join()


def test_new_power_on_empties_the_log(silent: Path) -> None:
    emulator_console.log(silent).write_text("old")
    emulator_console.create(silent)
    assert emulator_console.log(silent).read_text() == ""


# ---- the terminal ----


def expect(terminal: int, text: str) -> str:
    """What the terminal shows, up to and with `text`."""
    shown = ""
    while text not in shown:
        shown += os.read(terminal, 4096).decode()
    return shown


@pytest.fixture
def attached(board: Played) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`./inv emulate`'s console on a terminal of its own: the process, and the terminal's other end."""
    master, slave = os.openpty()
    command = [sys.executable, "-c", TERMINAL, str(board.build)]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.PIPE) as console:
        try:
            expect(master, "ready")
            yield console, master
        finally:
            console.kill()
            os.close(slave)
            os.close(master)


def test_terminal_shows_what_came_before_and_what_comes_each_once(
    attached: tuple[subprocess.Popen[bytes], int], board: Played
) -> None:
    console, terminal = attached
    os.write(terminal, b"version;")
    expect(terminal, "VERSION;")
    emulator_console.enter(board.folder, "typed by another;")
    assert re.fullmatch("TYPED BY ANOTHER;", expect(terminal, "ANOTHER;"))
    os.write(terminal, b"\x1d")
    assert console.wait(SECONDS) == 0
    assert board.process.poll() is None, "the board runs on"
    assert emulator_console.log(board.folder).read_text() == "ready\nVERSION;TYPED BY ANOTHER;"


def test_terminal_is_left_when_the_board_goes_off(attached: tuple[subprocess.Popen[bytes], int], board: Played) -> None:
    console, _terminal = attached
    board.process.kill()
    assert console.wait(SECONDS) == 0


def test_last_lines_are_those_that_a_person_reads(tmp_path: Path) -> None:
    assert emulator_console.last_lines(tmp_path, 3) == ""
    said = (
        "[    1.0] first\r\n[    2.0] second\r\n\r\n"
        "\x1bM\r\x1b[K[\x1b[0;31m*\x1b[0m] (1 of 3) Job ssh.service/start running\r\n"
        "\x1b[K[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mrauc.service\x1b[0m - RAUC.\r\n"
    )
    emulator_console.log(tmp_path).write_text(said, newline="")
    assert emulator_console.last_lines(tmp_path, 2) == "[    2.0] second\n[  OK  ] Started rauc.service - RAUC."
