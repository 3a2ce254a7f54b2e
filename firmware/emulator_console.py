# SPDX-License-Identifier: MIT
"""The console of an emulated board, in its folder: `console.log` is what its UART has said, `console.in` is to type.

QEMU's character device `pipe` is given a regular file to write and a FIFO to read. The log is exact, any number of
programs read it, and each may type. A socket has one client at a time, and QEMU logs a byte anew for each time that
this client was not ready to take it. Whoever waits is woken by the kernel (inotify) when the log grows.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware import tool
from firmware.errors import TargetError, UserError

STEM = "console"  # QEMU appends .in and .out
IN_MODIFY = 0x2  # linux/inotify.h
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.|\r")  # colours, cursor, and what systemd redraws
PACE = 0.01  # seconds between two looks at a log that grows byte by byte
_libc = ctypes.CDLL(None, use_errno=True)


def log(folder: Path) -> Path:
    """What the UART of the board with this `folder` has said since power-on."""
    return folder / f"{STEM}.log"


def create(folder: Path) -> Path:
    """An empty log and a FIFO in `folder`; the path that QEMU's `-chardev pipe` takes."""
    for name in (f"{STEM}.in", f"{STEM}.out"):
        (folder / name).unlink(missing_ok=True)
    log(folder).write_bytes(b"")
    (folder / f"{STEM}.out").symlink_to(log(folder).name)
    os.mkfifo(folder / f"{STEM}.in", 0o600)
    return folder / STEM


def open_input(folder: Path) -> int:
    """A descriptor to type into: the UART takes its bytes when it has room. Raises TargetError: the board is off."""
    path = folder / f"{STEM}.in"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:  # no FIFO, or nobody reads it
        raise TargetError("emulator", f"{path}: {error.strerror}: the emulated board does not run") from error
    os.set_blocking(descriptor, True)
    return descriptor


def enter(folder: Path, text: str) -> None:
    """Type `text`. Raises TargetError when the board is off."""
    descriptor = open_input(folder)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


@contextmanager
def changes(path: Path) -> Iterator[int]:
    """A descriptor that becomes readable when `path` is written to; empty it with `settle`. Raises UserError."""
    descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        reason = os.strerror(ctypes.get_errno())
        raise UserError(f"no inotify: {reason} (valid: a higher fs.inotify.max_user_instances)")
    try:
        if _libc.inotify_add_watch(descriptor, os.fsencode(path), IN_MODIFY) < 0:
            raise TargetError("emulator", f"{path}: {os.strerror(ctypes.get_errno())}")
        yield descriptor
    finally:
        os.close(descriptor)


def settle(descriptor: int) -> None:
    """Take the events of `changes` that have come."""
    try:
        while os.read(descriptor, 65536):
            pass
    except BlockingIOError:
        pass


def last_lines(folder: Path, count: int) -> str:
    """The last lines of the log that say something, as a person reads them: without colours and redrawn progress."""
    path = log(folder)
    text = path.read_text(encoding="latin-1") if path.exists() else ""
    lines = [line.strip() for line in _CONTROL.sub("", text).split("\n")]
    return "\n".join([line for line in lines if line and ") Job " not in line][-count:])


class Reader:
    """Reads a board's console from power-on, up to one pattern after the other."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._log = log(folder)
        self._offset = 0  # in the log: behind what has been read
        self._text = ""  # what has been read behind the last match, without carriage returns

    def wait(self, pattern: str, pid: int, timeout: float) -> re.Match[str]:
        """Wait until the console has shown `pattern`, behind what the last call matched; at most `timeout` seconds.

        Lines end with a line feed alone. Raises TargetError with the end of the console when it is not shown, or when
        QEMU (process `pid`) ends first.
        """
        deadline = time.monotonic() + timeout
        with changes(self._log) as changed, _alive(pid) as alive:
            while True:
                ended = bool(select.select([alive], [], [], 0)[0])
                settle(changed)
                found = self._search(pattern)
                if found:
                    return found
                left = deadline - time.monotonic()
                if ended or left <= 0:
                    raise TargetError("emulator", self._complaint(pattern, ended, timeout))
                if alive not in select.select([changed, alive], [], [], left)[0]:
                    select.select([alive], [], [], min(PACE, left))

    def _search(self, pattern: str) -> re.Match[str] | None:
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            fresh = stream.read()
        self._offset += len(fresh)
        self._text += fresh.decode("latin-1").replace("\r", "")
        found = re.search(pattern, self._text)
        if found:
            self._text = self._text[found.end() :]
        return found

    def _complaint(self, pattern: str, ended: bool, timeout: float) -> str:
        reason = "QEMU has ended" if ended else f"not seen within {timeout:.0f} s"
        said = tool.tail(self._log) + "\n" + tool.tail(self._folder / "qemu.log")
        return f"console: {pattern!r}: {reason}:\n{said.strip()}"


@contextmanager
def _alive(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends. Raises TargetError when it has, and is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise TargetError("emulator", "the emulated board is off") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
