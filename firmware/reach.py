# SPDX-License-Identifier: MIT
"""Reach a board: a real one by `--host`, else the emulated one, which is started when it is off.

`reach` gives the SSH target, the address of the capture stream and, emulated, the console's log. The emulated board's
card is `build/<board>/emulator/card.img`: made from the image when there is none, and kept over power-offs like a real
card; `fresh` starts over with a new one. `fresh_emulator` is a board for the length of a `with` block, for tests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware import card, emulator_console, emulator_session, forwarding, manifest
from firmware.board import STREAM_PORT, Board
from firmware.choice import Choice, Host
from firmware.emulator import Emulator
from firmware.errors import TargetError, UserError
from firmware.known_hosts import KnownHosts
from firmware.manifest import Manifest
from firmware.ssh import Target

BOOT_SECONDS = 240.0
CONSOLE_LINES = 20
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Reach:
    """How a board is reached; `console` is the log of the emulated board's UART."""

    target: Target
    stream: tuple[str, int]
    console: Path | None = None


def reach(choice: Choice, accept_host_key: str | None = None) -> Reach:
    """The board that the options mean; an emulated one is on and answers. Raises UserError, TargetError."""
    if choice.host is None:
        if accept_host_key is not None:
            raise UserError("--accept-host-key: the emulated board's key is known (valid: with --host)")
        return emulated(choice)
    host, jump = choice.host, _jump(choice.host.jump)
    target = Target(host.name, host.port, host.user, accept_host_key=accept_host_key, jump=jump)
    stream = (host.name, STREAM_PORT)
    return Reach(target, forwarding.stand(jump, stream) if jump else stream)


def _jump(host: Host | None) -> Target | None:
    return Target(host.name, host.port, host.user, jump=_jump(host.jump)) if host else None


@dataclass(frozen=True)
class Wanted:
    """What `./inv emulate` shall do. Raises UserError when one contradicts the other."""

    stop: bool = False
    fresh: bool = False
    headless: bool = False
    snapshot: bool = False

    def __post_init__(self) -> None:
        """Check."""
        if self.stop and (self.fresh or self.headless or self.snapshot):
            raise UserError("--stop powers off, the others power on (valid: --stop alone)")


def emulated(choice: Choice) -> Reach:
    """The emulated board, started when it is off, and answering."""
    found = _on(choice, Wanted())
    wait_until_up(found)
    return found


def _on(choice: Choice, wanted: Wanted) -> Reach:
    """The emulated board, started when it is off; it may still boot."""
    board = choice.board
    session = emulator_session.running(board.name)
    if session and (wanted.fresh or wanted.snapshot):
        option = "--fresh" if wanted.fresh else "--snapshot"
        raise UserError(f"the emulated {board.name} is on: no {option} now (valid: first ./inv emulate --stop)")
    if session is None:
        path = emulator_session.folder(board.name) / "card.img"
        if wanted.fresh or not path.exists():
            make_card(manifest.load_built(board.name, choice.engine), path)
        print(f"starting the emulated {board.title}", file=sys.stderr)
        session = emulator_session.start(board, path, wanted.snapshot)
    return Reach(Target(LOOPBACK, session.ssh_port), (LOOPBACK, session.stream_port), session.console_log)


def make_card(built: Manifest, path: Path, known: KnownHosts | None = None) -> None:
    """A card file for the emulated board, from the built image, with an identity of its own."""
    origin = card.Origin(built.board, built.version, built.files["image"].sha256)
    card.create(built.path("image"), path, origin, known=known)


def wait_until_up(found: Reach) -> None:
    """Wait until the board answers over SSH. Raises TargetError with the end of the console's log."""
    try:
        found.target.wait_for_reboot("", BOOT_SECONDS)
    except TargetError as error:
        tail = emulator_console.last_lines(found.console.parent, CONSOLE_LINES) if found.console else ""
        raise TargetError(error.host, f"{error.said}\nend of its console:\n{tail}") from error


@contextmanager
def fresh_emulator(choice: Choice, folder: Path) -> Iterator[Reach]:
    """An emulated board with a fresh card in `folder`, on and answering; off and gone behind the block."""
    built = manifest.load_built(choice.board.name, choice.engine)
    known = KnownHosts(folder / "known_hosts")
    make_card(built, folder / "card.img", known)
    with powered(choice.board, folder / "card.img", folder) as machine:
        target = Target(LOOPBACK, machine.ssh_port, known=known)
        found = Reach(target, (LOOPBACK, machine.stream_port), machine.console_log)
        wait_until_up(found)
        with target:
            yield found


@contextmanager
def powered(board: Board, path: Path, folder: Path) -> Iterator[Emulator]:
    """The emulated board with the card at `path`, from power-on to power-off."""
    machine = Emulator(board, path, folder)
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()


def console(choice: Choice, wanted: Wanted) -> None:
    """Attach to the emulated board's console; without a terminal, or with `headless`, wait until it answers over SSH.

    `stop` powers it off instead. Raises UserError, TargetError.
    """
    name = choice.board.name
    if wanted.stop:
        print(f"the emulated {name} {'is off now' if emulator_session.stop(name) else 'was off already'}")
        return
    found = _on(choice, wanted)
    attached = sys.stdin.isatty() and not wanted.headless
    if not attached:
        wait_until_up(found)
    ports = f"SSH on {found.target.host}:{found.target.port}, stream on {found.stream[0]}:{found.stream[1]}"
    print(f"the emulated {name} is on: {ports}, console's log {found.console}")
    if attached:
        emulator_session.console(name)


def shell(choice: Choice, accept_host_key: str | None = None) -> None:
    """Become OpenSSH's client on the board, with the pinned key only."""
    found = reach(choice, accept_host_key)
    with found.target:
        command = found.target.shell_command()
    os.execvp(command[0], command)  # noqa: S606  # argv, no shell
