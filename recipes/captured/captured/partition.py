# SPDX-License-Identifier: MIT
"""A partition that holds recordings without a file system: how they lie there, and how they are found again.

    0                 head: a line `CCAPRAW1 <crc> {"bytes": ..., "id": ...}`, zeros up to 4096
    4096 + 8192 * n   entry n of the index, two copies that are written in turn; the newer whole one holds
    1 MiB ...         the recordings, one behind the other; each is a row of records:
                      4096 bytes that begin with the stream's header, then the payload, zeros up to a multiple of 4096

An entry is a line `<crc> {...}`: name, place, what it is, and how far it is true (`end`, `records`, `bytes`). It is
written again at each sync, so a power cut costs at most the window since then. All places are bytes and have 64 bits.
Gaps are not in the index but in the records' own headers. docs/stream-format.md has the whole.

The same module reads partitions, and copies of them in files, on the engineer's computer. OSError passes through;
ValueError says what is wrong with the contents.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any

MAGIC = b"CCAPRAW1 "
PAGE = 4096
COPIES = 2
ENTRIES = 127
DATA_AT = 1 << 20
HEAD_BYTES = 48  # of a record, as in the stream
WRITING, WHOLE = "writing", "whole"


@dataclass
class Entry:
    """A recording: bytes from `at` to `end` are true; `note` says what was repaired, or why it ended early."""

    name: str
    at: int
    end: int
    what: dict[str, Any] = field(default_factory=dict)  # as in a journal: docs/stream-format.md
    records: int = 0
    bytes: int = 0
    state: str = WRITING
    sha256: str = ""
    note: str = ""
    generation: int = 0
    place: int = 0


def padded(size: int) -> int:
    """`size` up to the next page."""
    return -(-size // PAGE) * PAGE


def page(line: bytes) -> bytes:
    """A page that begins with `line`. Raises ValueError: it is too long."""
    if len(line) >= PAGE:
        raise ValueError(f"{len(line)} bytes (valid: less than {PAGE})")
    return line + b"\n" + bytes(PAGE - len(line) - 1)


def checked(value: dict[str, Any]) -> bytes:
    """A line with its checksum in front."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return f"{zlib.crc32(text):08x} ".encode() + text


def unchecked(data: bytes) -> dict[str, Any] | None:
    """What such a line says, or None: it is none, or torn."""
    check, _, text = data.partition(b"\n")[0].partition(b" ")
    try:
        if int(check, 16) != zlib.crc32(text):
            return None
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Partition:
    """An open partition, or a copy of one in a file; `entries` are its recordings, in order."""

    def __init__(self, path: Path, writable: bool = False) -> None:
        """Open `path`. Raises OSError; writable: EBUSY while it is mounted or otherwise used."""
        self.path = path
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC
        if stat.S_ISBLK(path.stat().st_mode) and writable:
            flags |= os.O_EXCL  # open(2): fails while the system uses the device
        self.fd = os.open(path, flags)
        self.size = os.lseek(self.fd, 0, os.SEEK_END)
        self.entries: list[Entry] = []

    def __enter__(self) -> Partition:
        """The partition itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close; twice does no harm."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def ours(self) -> bool:
        """Whether it holds recordings, or is made for them."""
        data = os.pread(self.fd, PAGE, 0)
        return data.startswith(MAGIC) and unchecked(data.removeprefix(MAGIC)) is not None

    @property
    def blank(self) -> bool:
        """Whether nothing but zeros is where a file system, or what else it may be, would begin."""
        return not any(os.pread(self.fd, DATA_AT, 0))

    def make(self) -> None:
        """Make it one for recordings; what it held is lost."""
        if self.size < 2 * DATA_AT:
            raise ValueError(f"{self.path}: {self.size} bytes (valid: at least {2 * DATA_AT})")
        os.pwrite(self.fd, bytes(DATA_AT), 0)
        os.fdatasync(self.fd)
        head = {"bytes": self.size, "id": os.urandom(8).hex()}
        os.pwrite(self.fd, page(MAGIC + checked(head)), 0)
        os.fdatasync(self.fd)
        self.entries = []

    def load(self) -> list[Entry]:
        """Read the index. Raises ValueError: no partition of ours."""
        if not self.ours:
            raise ValueError(f"{self.path}: holds no recordings (valid: a partition that the service has recorded to)")
        self.entries = [entry for place in range(ENTRIES) if (entry := self._entry(place)) is not None]
        return self.entries

    def _entry(self, place: int) -> Entry | None:
        names = {one.name for one in fields(Entry)}
        copies = []
        for copy in range(COPIES):
            found = unchecked(os.pread(self.fd, PAGE, entry_at(place, copy)))
            if found is not None and set(found) <= names:
                copies.append(Entry(**{**found, "place": place}))
        return max(copies, key=lambda one: one.generation, default=None)

    def note(self, entry: Entry) -> None:
        """Write `entry` into the index, over its older copy; on the medium when this returns."""
        entry.generation += 1
        data = page(checked(asdict(entry)))
        os.pwrite(self.fd, data, entry_at(entry.place, entry.generation % COPIES))
        os.fdatasync(self.fd)

    @property
    def free_at(self) -> int:
        """Where the next recording begins."""
        return max((entry.end for entry in self.entries), default=DATA_AT)

    def find(self, name: str) -> Entry:
        """The recording of that name. Raises ValueError that names those that are there."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise ValueError(f"{name!r}: no such recording (valid: {', '.join(one.name for one in self.entries)})")

    def records(self, entry: Entry) -> Iterator[tuple[bytes, bytes]]:
        """Header and payload of each record. Raises ValueError: something else is there."""
        at = entry.at
        for number in range(entry.records):
            head = os.pread(self.fd, HEAD_BYTES, at)
            size = int.from_bytes(head[12:16], "little")
            if head[:4] != b"CCAP" or at + PAGE + size > entry.end:
                raise ValueError(f"{self.path}: {entry.name}: no record {number} at byte {at}")
            payload = _read(self.fd, size, at + PAGE)
            yield head, payload
            at += PAGE + padded(size)


def entry_at(place: int, copy: int) -> int:
    """Byte of the partition where a copy of entry `place` lies."""
    return PAGE + (place * COPIES + copy) * PAGE


def _read(fd: int, size: int, at: int) -> bytes:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        taken = os.preadv(fd, [view[got:]], at + got)
        if not taken:
            raise ValueError(f"it ends at byte {at + got}")
        got += taken
    return bytes(data)
