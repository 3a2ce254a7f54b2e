# SPDX-License-Identifier: MIT
"""What a chain of tasks works on: `--board`, `--engine` and `--host`, said once, hold for the tasks behind it.

    ./inv build --board=sockit deploy test       # sockit for all three
    ./inv build --board=sockit,de10-nano         # tasks that make something take several boards

Engines are `debian` (minutes, the default) and `yocto` (the release). A host is `name`, `name:port` or
`user@name:port`, behind jump hosts `gate,name` (each like a host; "me@gate:2222,board-7"); without one, the emulated
board is meant. Raises UserError for an unknown engine, board or a malformed host, and for several boards where one is
wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from firmware import board as boards
from firmware.board import Board
from firmware.errors import UserError

ENGINES = ("debian", "yocto")
_HOST = re.compile(r"^(?:(?P<user>[a-z_][a-z0-9_-]*)@)?(?P<name>[A-Za-z0-9][A-Za-z0-9.-]*)(?::(?P<port>[0-9]{1,5}))?$")


@dataclass(frozen=True)
class Host:
    """A board's address: `name`, TCP `port` of its SSH server, `user` to log in as, the host to go through, if any."""

    name: str
    port: int = 22
    user: str = "operator"
    jump: Host | None = None

    def __str__(self) -> str:
        """As `parse_host` takes it."""
        return f"{self.jump}," * bool(self.jump) + f"{self.user}@{self.name}:{self.port}"


def parse_host(text: str) -> Host:
    """Host from `[user@]name[:port]`, behind `[jump,...]`."""
    through, comma, last = text.rpartition(",")
    found = _HOST.match(last)
    port = int(found["port"] or 22) if found else 0
    if not found or not 0 < port < 65536:
        raise UserError(f"--host: {text!r} is no host (valid: name, name:port, user@name:port; jump,name)")
    return Host(found["name"], port, found["user"] or "operator", parse_host(through) if comma else None)


class Choice:
    """The options given so far in this chain of tasks."""

    def __init__(self) -> None:
        """Nothing chosen yet: the defaults hold."""
        self._boards: tuple[str, ...] = (boards.DEFAULT_BOARD,)
        self.engine = ENGINES[0]
        self.host: Host | None = None

    def update(self, board: str | None = None, engine: str | None = None, host: str | None = None) -> Choice:
        """Take over what was given; all of it is checked before anything is kept."""
        chosen = self._boards
        if board is not None:  # an empty one is a mistake, too
            chosen = tuple(board.split(","))
            for name in chosen:
                boards.load(name)
                if chosen.count(name) > 1:
                    raise UserError(f"--board: {name!r} stands twice in {board!r} (valid: each board once)")
        if engine is not None and engine not in ENGINES:
            raise UserError(f"--engine: unknown engine {engine!r} (valid: {', '.join(ENGINES)})")
        parsed = parse_host(host) if host is not None else None
        self._boards = chosen
        self.engine = engine or self.engine
        self.host = parsed or self.host
        return self

    @property
    def board(self) -> Board:
        """The chosen board, loaded and checked. Raises UserError when several are chosen."""
        if len(self._boards) > 1:
            raise UserError(
                f"--board: one board is wanted here, not {','.join(self._boards)} (valid: one of them; "
                "build, render and doctor take several)"
            )
        return boards.load(self._boards[0])

    @property
    def boards(self) -> tuple[Board, ...]:
        """The chosen boards, loaded and checked, in the order in which they were given."""
        return tuple(boards.load(name) for name in self._boards)
