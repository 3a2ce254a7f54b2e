# SPDX-License-Identifier: MIT
"""A recording's files, and what a power cut leaves of them.

While it is written:      NAME.sigmf-data.part   the samples, preallocated: longer than what is true
                          NAME.journal           how much of it is true; a line for each synced window
When it is whole:         NAME.sigmf-data, NAME.sigmf-meta, NAME.sha256

The journal's first line describes the recording, each further one says a length that is on the medium and the gaps
since the line before; every line begins with its CRC-32. So after a power cut what the last good line says is true, and
nothing else: `repair` cuts the data there, writes the metadata and says so in it. At most one sync window is lost.
Times and names follow the wall clock, lengths and order never do: a recording's file is dated later than all before it.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captured import sigmf
from captured.sigmf import Description, Gap, Segment

_log = logging.getLogger(__name__)
DATA, META, SHA, JOURNAL, PART = ".sigmf-data", ".sigmf-meta", ".sha256", ".journal", ".sigmf-data.part"
_CHUNK = 1 << 20
_TICK_NS = 1_000_000


def named(folder: Path, name: str, suffix: str) -> Path:
    """The file of recording `name` with that suffix."""
    return folder / f"{name}{suffix}"


def line(value: dict[str, object]) -> bytes:
    """One line of the journal."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return f"{zlib.crc32(text):08x} ".encode() + text + b"\n"


def lines(data: bytes) -> Iterator[dict[str, Any]]:
    """The journal's good lines; the first bad one is its end."""
    for raw in data.split(b"\n"):
        check, _, text = raw.partition(b" ")
        try:
            if int(check, 16) != zlib.crc32(text):
                return
            value = json.loads(text)
        except ValueError:
            return
        if not isinstance(value, dict):
            return
        yield value


class Journal:
    """The journal of the recording that is being written. Every method raises OSError."""

    def __init__(self, path: Path, what: Description) -> None:
        """Begin it; the folder is synced, so that a power cut leaves it there."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._gaps_told = self._segments_told = 0
        self._what = what
        first = Description(what.datatype, what.board, what.rate, what.pattern, part=what.part)
        self.append(line({"begin": sigmf.to_json(first)}))
        sync_folder(path.parent)

    def note(self, size: int) -> None:
        """`size` bytes of the data are on the medium."""
        self.append(self.entry(size))

    def entry(self, size: int) -> bytes:
        """The line that says so, for `append`: with what is known of gaps and segments now and no line said yet."""
        what = self._what
        gaps, segments = what.gaps[self._gaps_told :], what.segments[self._segments_told :]
        self._gaps_told += len(gaps)
        self._segments_told += len(segments)
        return line({"bytes": size, "gaps": [vars(one) for one in gaps], "segments": [vars(one) for one in segments]})

    def append(self, data: bytes) -> None:
        """Write a line; it is on the medium when this returns."""
        if os.write(self._fd, data) != len(data):
            raise OSError(28, "the journal was written in part")
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close it; the file stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def publish(folder: Path, name: str, what: Description, sha256: str | None, repaired: tuple[str, ...] = ()) -> None:
    """Make the written and synced part file a whole recording. Raises OSError."""
    _write(named(folder, name, META), sigmf.text(sigmf.metadata(what, sha256, repaired)))
    if sha256:
        _write(named(folder, name, SHA), f"{sha256}  {name}{DATA}\n")
    part = named(folder, name, PART)
    if part.exists():
        _date_last(folder, part)
        part.rename(named(folder, name, DATA))
    sync_folder(folder)
    named(folder, name, JOURNAL).unlink(missing_ok=True)


def _date_last(folder: Path, path: Path) -> None:
    """Give `path` a later date than every recording has: retention goes by it, also when the clock was set back."""
    last = max((one.stat().st_mtime_ns for one in folder.glob(f"*{DATA}")), default=0)
    if path.stat().st_mtime_ns <= last:
        os.utime(path, ns=(last + _TICK_NS, last + _TICK_NS))


def discard(folder: Path, name: str) -> None:
    """Remove a recording that holds nothing."""
    for suffix in (PART, JOURNAL):
        named(folder, name, suffix).unlink(missing_ok=True)


def repair(folder: Path, checksum: bool = True) -> list[str]:
    """Repair what a power cut or a kill left in `folder`; a sentence for each recording. Never raises OSError."""
    said = []
    for journal in sorted(folder.glob(f"*{JOURNAL}")):
        name = journal.name.removesuffix(JOURNAL)
        try:
            said.append(mend(folder, name, checksum))
        except (OSError, ValueError, TypeError) as error:
            said.append(f"{name}: cannot be repaired: {error}")
        _log.warning("recording %s", said[-1])
    return said


def mend(folder: Path, name: str, checksum: bool = True) -> str:
    """Make what its journal says of recording `name` whole; a sentence. Raises OSError, ValueError, TypeError."""
    found = list(lines(named(folder, name, JOURNAL).read_bytes()))
    part = named(folder, name, PART)
    if not found or "begin" not in found[0]:
        discard(folder, name)
        return f"{name}: removed: it was cut off before its first window"
    what = sigmf.from_json(found[0]["begin"])
    size = 0
    for entry in found[1:]:
        size = int(entry["bytes"])
        what.gaps += [Gap(**gap) for gap in entry["gaps"]]
        what.segments += [Segment(**segment) for segment in entry["segments"]]
    if not part.exists():  # it was whole, only the journal was left
        if named(folder, name, META).exists():
            named(folder, name, JOURNAL).unlink()
            return f"{name}: whole"
        discard(folder, name)
        return f"{name}: removed: its samples are gone"
    if size == 0:
        discard(folder, name)
        return f"{name}: removed: it was cut off before its first window"
    with part.open("r+b") as stream:
        size = min(size, os.fstat(stream.fileno()).st_size)
        stream.truncate(size)
        os.fsync(stream.fileno())
    note = f"cut off while it was written; cut to the last synced window, {size} bytes"
    publish(folder, name, what, digest(part) if checksum else None, (note,))
    return f"{name}: {note}"


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    import hashlib  # loads OpenSSL: not before something is repaired

    found = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def sync_folder(folder: Path) -> None:
    """The folder's entries are on the medium when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)
