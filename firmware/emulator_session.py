# SPDX-License-Identifier: MIT
"""The emulated board that stays on between two commands: one a board name, in build/<board>/emulator/.

`state.json` says which process it is and how it is reached. It is believed only as long as that process runs this very
card: after a reboot of the host, or when the number belongs to another program by now, the board is off.
"""

from __future__ import annotations

import json
import os
import select
import sys
import termios
import tty
from dataclasses import asdict, dataclass
from pathlib import Path

from firmware import emulator, emulator_command, emulator_console, paths
from firmware.board import Board
from firmware.emulator import Emulator
from firmware.errors import UserError

LEAVE = b"\x1d"  # Ctrl-]
SHOWN_BYTES = 2000


@dataclass(frozen=True)
class Session:
    """A running emulated board: process, loopback ports, card, and the folder of its sockets and logs."""

    board: str
    pid: int
    ssh_port: int
    stream_port: int
    card: str
    folder: str

    @property
    def console_log(self) -> Path:
        """What the board's UART has said since power-on."""
        return emulator_console.log(Path(self.folder))

    def alive(self) -> bool:
        """Whether the process is there and is the emulator of this card."""
        try:
            words = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return emulator_command.drive(Path(self.card)).encode() in words


def folder(board: str) -> Path:
    """Where the running board of that name keeps its files."""
    return paths.BUILD / board / "emulator"


def _state(board: str) -> Path:
    return folder(board) / "state.json"


def running(board: str) -> Session | None:
    """The board's session, or None when it is off; a stale state file is removed."""
    path = _state(board)
    try:
        session = Session(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        session = None
    if session is None or not session.alive():
        path.unlink(missing_ok=True)
        return None
    return session


def start(board: Board, card: Path, snapshot: bool = False) -> Session:
    """Power the board on with `card`; it outlives this program. With `snapshot` the card stays as it is.

    Raises UserError when it is on already.
    """
    if running(board.name):
        raise UserError(f"the emulated {board.name} is on already (valid: ./inv emulate --stop first)")
    machine = Emulator(board, card, folder(board.name))
    machine.start(detach=True, snapshot=snapshot)
    session = Session(
        board.name, machine.pid, machine.ssh_port, machine.stream_port, str(machine.card), str(machine.folder)
    )
    partial = _state(board.name).with_suffix(".tmp")
    partial.write_text(json.dumps(asdict(session), indent=2) + "\n", encoding="utf-8")
    partial.rename(_state(board.name))
    return session


def stop(board: str) -> bool:
    """Power the board off, as by pulling the plug; whether it was on."""
    session = running(board)
    if session is None:
        return False
    emulator.end(session.pid, Path(session.folder))
    _state(board).unlink(missing_ok=True)
    return True


def console(board: str) -> None:
    """Attach the terminal to the board's console; Ctrl-] leaves and the board runs on.

    Raises UserError when the board is off or there is no terminal.
    """
    session = running(board)
    if session is None:
        raise UserError(f"the emulated {board} is off (valid: ./inv emulate starts it)")
    if not sys.stdin.isatty():
        raise UserError(f"the console needs a terminal (valid: read {session.console_log})")
    print("console of the emulated board: Ctrl-] leaves, the board runs on", file=sys.stderr)
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    typed, alive = emulator_console.open_input(Path(session.folder)), os.pidfd_open(session.pid)
    try:
        tty.setraw(terminal)
        _copy(session.console_log, terminal, typed, alive)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        os.close(typed)
        os.close(alive)
    print(file=sys.stderr)


def _copy(log: Path, terminal: int, typed: int, alive: int) -> None:
    """Show the end of the log and what comes, and pass on what is typed, until Ctrl-] or the board goes off."""
    with log.open("rb") as said, emulator_console.changes(log) as changed:
        said.seek(max(0, log.stat().st_size - SHOWN_BYTES))
        ready: list[int] = []
        while alive not in ready:
            emulator_console.settle(changed)
            _write(sys.stdout.fileno(), said.read())
            ready = select.select([terminal, changed, alive], [], [])[0]
            if terminal in ready:
                data = os.read(terminal, 4096)
                if not data or LEAVE in data:
                    return
                _write(typed, data)
        _write(sys.stdout.fileno(), said.read())


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
