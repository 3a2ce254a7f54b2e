# SPDX-License-Identifier: MIT
"""SigMF recordings on this computer: opened as a mapping, written from the stream."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError
from .numbers import dtype
from .record import FLAG_ERROR, FLAG_GAP, Header
from .sigmf_meta import Description, Gap, Segment, metadata

_LOST = "cyclone_capture:lost_bytes"
META, DATA, PART = ".sigmf-meta", ".sigmf-data", ".sigmf-data.part"
ROOM = ".sigmf-meta.part"  # keeps room for the metadata on a disk that the samples fill
_ROOM_BYTES = 64 << 10
_MOST_HERTZ = 1e15


@dataclass(frozen=True)
class Recording:
    """A recording: `samples` are mapped; `rate` in hertz or None.

    `gaps` are (first sample, samples of the block, bytes lost before or in it); for what was lost behind the last
    sample these are the number of samples, 0, and the bytes.
    """

    path: Path
    samples: npt.NDArray[Any]
    rate: float | None
    gaps: tuple[tuple[int, int, int], ...]
    meta: dict[str, Any]
    first: int = 0  # place of the first sample in the recording that this is a part of

    def part(self, first: int = 0, count: int | None = None) -> Recording:
        """`count` samples (all that follow) from `first` on, without a copy. Raises UserError: there are none."""
        whole = len(self.samples)
        if (first, count) == (0, None):
            return self
        if not 0 <= first < whole:
            raise UserError(f"{self.path}: first sample {first} (valid: 0 to {whole - 1})")
        if count is not None and not 0 < count <= whole - first:
            raise UserError(f"{self.path}: {count} samples from {first} on (valid: 1 to {whole - first})")
        end = whole if count is None else first + count
        gaps = tuple(
            (max(at, first) - first, min(at + size, end) - max(at, first), lost)
            for at, size, lost in self.gaps
            if (at < end and at + size > first) or (at == end == whole)
        )
        return replace(self, samples=self.samples[first:end], gaps=gaps, first=self.first + first)


def open_recording(path: str | Path) -> Recording:
    """The recording of which `path` is the meta file, the data file or the name. Raises UserError."""
    stem = Path(str(path).removesuffix(META).removesuffix(DATA))
    meta_path, data_path = stem.with_name(stem.name + META), stem.with_name(stem.name + DATA)
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
        head, notes = meta["global"], meta["annotations"]
        kind = dtype(head["core:datatype"])
        count = data_path.stat().st_size // kind.itemsize
        samples = np.memmap(data_path, kind, "r", shape=(count,)) if count else np.empty(0, kind)
        gaps = tuple(
            (
                int(one["core:sample_start"]),
                int(one["core:sample_count"]),
                int(one.get(_LOST, 0)),
            )
            for one in notes
            if one.get("core:label") == "gap" or one.get(_LOST)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{meta_path}: no recording: {error!r} (valid: a .sigmf-meta with its .sigmf-data)") from error
    return Recording(stem, samples, _rate(meta_path, head), gaps, meta)


def _rate(path: Path, head: dict[str, Any]) -> float | None:
    rate = head.get("core:sample_rate")
    if rate is None or (type(rate) in (int, float) and 0 < rate < _MOST_HERTZ):  # bool is an int, and not meant
        return rate
    raise UserError(f"{path}: core:sample_rate is {rate!r:.40} (valid: a number of samples a second, or none)")


class Writer:
    """Writes a stream into a recording; what came before an error is kept, and the metadata says why it ended.

    Nothing that exists is written over. Raises UserError: name, folder, datatype, rate; OSError, which names the file.
    """

    def __init__(self, path: Path, datatype: str, rate: float = 0.0, hardware: str = "") -> None:
        """`path` is the recording's name; `rate` samples a second, 0: not known."""
        size = dtype(datatype).itemsize
        if not 0 <= rate < _MOST_HERTZ:
            raise UserError(f"rate {rate:g} (valid: samples a second, 0: not known)")
        self.path = Path(str(path).removesuffix(META).removesuffix(DATA))
        self._data, self._meta, self._part, self._room = (
            self.path.with_name(self.path.name + suffix) for suffix in (DATA, META, PART, ROOM)
        )
        for there in (self._data, self._meta, self._part, self._room):
            if there.exists():
                raise UserError(f"{there} exists (valid: a new name)")
        try:
            self._file = self._part.open("xb", buffering=0)
            try:
                self._room.write_bytes(bytes(_ROOM_BYTES))
            except OSError:
                self._file.close()
                for made in (self._part, self._room):
                    made.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UserError(f"{self._part}: {error.strerror} (valid: a name in a folder that you may write)") from error
        self._hash = hashlib.sha256()
        self.size = 0
        self.kept = self._part  # where it is
        self._what = Description(datatype, hardware, round(rate * size), "")
        self.ended_early = ""  # why, for the metadata

    def __enter__(self) -> Writer:
        """The writer itself."""
        return self

    def write(self, header: Header, data: Any) -> None:
        """Append a block (a buffer); an end record, without data, tells what was lost behind the last block."""
        if not self.size:
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            self._what.segments.append(Segment(0, header.capture, header.sequence, header.time_ns, now))
        if header.flags & (FLAG_GAP | FLAG_ERROR):
            error = bool(header.flags & FLAG_ERROR)
            self._what.gaps.append(Gap(self.size, len(data), header.lost_bytes, error))
        view, done = memoryview(data), 0
        try:
            while done < len(view):
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            error.filename = str(self._part)
            raise
        self._hash.update(data)
        self.size += len(data)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make the recording whole; nothing is left of an empty one."""
        if value is not None:
            self.ended_early = "interrupted" if isinstance(value, KeyboardInterrupt) else f"{value or kind}"
        with self._file:
            self._file.truncate(self.size)  # of a block that did not fit, a part may be there
        self._room.unlink()
        if not self.size:
            self._part.unlink()
            return
        notes = (f"ended early: {self.ended_early}",) if self.ended_early else ()
        text = json.dumps(metadata(self._what, self._hash.hexdigest(), notes), indent=2) + "\n"
        try:
            self._meta.write_text(text, encoding="utf-8")
        except OSError as error:
            self._meta.unlink(missing_ok=True)
            error.filename = str(self._meta)
            raise
        self._part.replace(self._data)
        self.kept = self._data
