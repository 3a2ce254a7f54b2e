# SPDX-License-Identifier: MIT
"""The emulated board: one QEMU process with the machine of board/emulator, a card, and ways to talk to it.

`firmware/emulator_command.py` gives the command line, purely; `Emulator` runs it. The board's SSH and stream ports are
forwarded to loopback ports that are free at the moment; if another program takes one in between, others are tried. The
control channel (QMP) is a unix socket in `folder`, which is listening before QEMU starts, so nothing is waited for but
the first answer; its path may be longer than the kernel's 107 bytes. The console is there, too
(`firmware/emulator_console.py`). QEMU ends with the thread that started it, unless it is detached.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from firmware import emulator_build, emulator_console, tool
from firmware.board import Board
from firmware.emulator_command import LOOPBACK, Direct, Plan, Start, plan
from firmware.errors import TargetError, UserError
from firmware.layout import MIB
from firmware.qmp import Qmp

PORT_ATTEMPTS = 5
STOP_SECONDS = 10.0
PORT_TAKEN = "Could not set up host forwarding rule"


def check_card(card: Path) -> None:
    """Raise UserError unless `card` is a file that QEMU takes as an SD card: a power of two in size."""
    if not card.is_file():
        raise UserError(f"no card {card} (valid: a file made by firmware/card.py from an image)")
    size = card.stat().st_size
    if size < MIB or size & (size - 1):
        raise UserError(f"{card}: {size} bytes are no card (valid: a power of two, at least {MIB})")


@contextmanager
def locked(card: Path, shared: bool = False) -> Iterator[int]:
    """A descriptor that holds the card's lock, for QEMU to inherit: QEMU itself would share an SD card's file.

    `shared`: with others who write nothing either. Raises UserError when another emulated board has it.
    """
    with card.open("rb") as stream:
        try:
            fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{card} is in use by another emulated board (valid: stop it, or use a copy)") from error
        yield stream.fileno()


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports that nobody has at the moment. Raises UserError when none can be bound."""
    try:
        with _listeners(count) as taken:
            return [listener.getsockname()[1] for listener in taken]
    except OSError as error:
        raise UserError(f"no loopback port can be bound: {error} (valid: allow binding to {LOOPBACK})") from error


@contextmanager
def _listeners(count: int) -> Iterator[list[socket.socket]]:
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            listeners.append(socket.create_server((LOOPBACK, 0)))
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


@contextmanager
def near(path: Path) -> Iterator[str]:
    """A short name for the unix socket `path`, through its folder's descriptor: the kernel takes 107 bytes at most."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def listen(path: Path) -> socket.socket:
    """A unix socket that listens at `path`; an old one is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with near(path) as name:
        listener.bind(name)
    listener.listen(4)
    return listener


def connect(path: Path) -> socket.socket:
    """A connection to the unix socket at `path`. Raises TargetError when nobody listens."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with near(path) as name:
            connection.connect(name)
    except OSError as error:
        connection.close()
        raise TargetError("emulator", f"{path}: {error.strerror}: the emulated board does not run") from error
    return connection


class Emulator:
    """One emulated board: power-on with `start`, power-off with `stop`. Raises UserError, ToolError, TargetError."""

    def __init__(self, board: Board, card: Path, folder: Path, **options: str) -> None:
        """Name the `card` file and the `folder` for logs and sockets; `options` as in `Plan` with `.` as `__`."""
        self.board, self.card, self.folder = board, card.absolute(), folder.absolute()
        self.options = {name.replace("__", ".").replace("_", "-"): value for name, value in options.items()}
        self.console_log = emulator_console.log(self.folder)
        self.log = self.folder / "qemu.log"
        self.ssh_port = self.stream_port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._console = emulator_console.Reader(self.folder)

    @property
    def pid(self) -> int:
        """Process id of QEMU. Raises TargetError when it has not been started."""
        if self._process is None:
            raise TargetError("emulator", "the emulated board is off")
        return self._process.pid

    def start(
        self,
        detach: bool = False,
        icount: int | None = None,
        sleep: bool = False,
        paused: bool = False,
        snapshot: bool = False,
        direct: Direct | None = None,
        tftp: Path | None = None,
    ) -> None:
        """Power on; returns when QMP answers. The options are those of `emulator_command.Start`."""
        how = Start(detach, icount, sleep, paused, snapshot, direct, tftp)
        check_card(self.card)
        if self._process and self._process.poll() is None:
            raise UserError(f"the emulated board in {self.folder} runs already (valid: stop it first)")
        shared_object = emulator_build.build() / "cyclone5.so"
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(PORT_ATTEMPTS):
            self.ssh_port, self.stream_port = free_ports(2)
            self._launch(shared_object, how)
            try:
                self.qmp("query-status")
                return
            except TargetError as error:
                self.stop()
                said = tool.tail(self.log)
                if PORT_TAKEN not in said or attempt == PORT_ATTEMPTS - 1:
                    raise TargetError("emulator", f"QEMU did not start: {said or error.said}") from error

    def _launch(self, shared_object: Path, how: Start) -> None:
        with (
            locked(self.card, shared=how.snapshot) as lock,
            listen(self.folder / "qmp.sock") as qmp,
            self.log.open("wb") as log,
        ):
            self._console = emulator_console.Reader(self.folder)
            inherited = (qmp.fileno(), lock)
            ports = (self.ssh_port, self.stream_port)
            files = (shared_object, self.card, emulator_console.create(self.folder))
            settings = Plan(self.board, *files, qmp.fileno(), *ports, how, self.options)
            environment = (f"LD_PRELOAD={shared_object}", f"TMPDIR={self.folder}")  # there QEMU keeps a snapshot
            self._process = subprocess.Popen(  # noqa: S603  # argv, no shell
                [*_leash(how.detach), "env", *environment, emulator_build.QEMU, *plan(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=inherited,
                start_new_session=how.detach,
            )

    def stop(self) -> None:
        """Power off, as by pulling the plug; nothing happens when it is off already."""
        if self._process is None or self._process.poll() is not None:
            return
        end(self._process.pid, self.folder)
        self._process.wait()

    def wait_off(self, timeout: float) -> int:
        """Wait until QEMU has ended by itself, as at a power cut (firmware/faults.py); its exit status.

        Nothing is written to the card any more, and its lock is free. Raises TargetError when the board has not been
        started, or is still on after `timeout` seconds.
        """
        if self._process and self._process.poll() is not None:
            return self._process.returncode
        try:
            alive = os.pidfd_open(self.pid)
        except ProcessLookupError:  # another thread has asked in between, and reaped it
            return self._process.wait() if self._process else 0
        try:
            if not select.select([alive], [], [], timeout)[0]:
                raise TargetError("emulator", f"the emulated board is still on after {timeout:.0f} s")
        finally:
            os.close(alive)
        return self._process.wait() if self._process else 0

    def qmp(self, command: str, **arguments: object) -> Any:
        """The answer to a QMP command (QEMU's "QMP Reference Manual"); `_` in the names of arguments stands for `-`."""
        with Qmp(connect(self.folder / "qmp.sock"), "emulator") as session:
            return session(command, **arguments)

    def wait_console(self, pattern: str, timeout: float) -> re.Match[str]:
        """Wait until the console has shown `pattern`, behind what the last call matched; at most `timeout` seconds.

        Lines end with a line feed alone. Raises TargetError with the end of the console when it does not, or when QEMU
        ends.
        """
        return self._console.wait(pattern, self.pid, timeout)


def _leash(detach: bool) -> Sequence[str]:
    return () if detach else (tool.need("setpriv", "util-linux"), "--pdeathsig", "KILL")


def end(pid: int, folder: Path) -> None:
    """End the QEMU process `pid`: by QMP, and by a signal when it does not obey."""
    try:
        alive = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with suppress(TargetError), Qmp(connect(folder / "qmp.sock"), "emulator", seconds=STOP_SECONDS) as session:
            session("quit")
        if not select.select([alive], [], [], STOP_SECONDS)[0]:
            signal.pidfd_send_signal(alive, signal.SIGKILL)
            select.select([alive], [], [], STOP_SECONDS)
    finally:
        os.close(alive)
