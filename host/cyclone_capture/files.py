# SPDX-License-Identifier: MIT
"""SigMF recordings on this computer: opened as a mapping, written from the stream."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .errors import UserError
from .numbers import dtype
from .record import FLAG_ERROR, FLAG_GAP, Header
from .sigmf_meta import Description, Gap, Segment, metadata

_LOST = "cyclone_capture:lost_bytes"
META, DATA = ".sigmf-meta", ".sigmf-data"


@dataclass(frozen=True)
class Recording:
    """A recording: `samples` are mapped; `gaps` are (first sample, samples, bytes lost); `rate` in hertz or None."""

    path: Path
    samples: npt.NDArray[Any]
    rate: float | None
    gaps: tuple[tuple[int, int, int], ...]
    meta: dict[str, Any]


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
            if one.get("core:label") == "gap"
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{meta_path}: no recording: {error!r} (valid: a .sigmf-meta with its .sigmf-data)") from error
    return Recording(stem, samples, head.get("core:sample_rate"), gaps, meta)


class Writer:
    """Writes a stream into a recording; whole when the block ends, else nothing is left. Raises UserError, OSError."""

    def __init__(self, path: Path, datatype: str, rate: float = 0.0, hardware: str = "") -> None:
        """`path` is the recording's name; `rate` samples a second, 0: not known."""
        size = dtype(datatype).itemsize
        self.path = Path(str(path).removesuffix(META))
        self._data = self.path.with_name(self.path.name + DATA)
        if self._data.exists():
            raise UserError(f"{self._data} exists (valid: a new name)")
        self._part = self.path.with_name(self.path.name + DATA + ".part")
        self._file: BinaryIO = self._part.open("wb")
        self._hash = hashlib.sha256()
        self._size = 0
        self._what = Description(datatype, hardware, round(rate * size), "")

    def __enter__(self) -> Writer:
        """The writer itself."""
        return self

    def write(self, header: Header, data: Any) -> None:
        """Append a block (a buffer)."""
        if not self._size:
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            self._what.segments.append(Segment(0, header.capture, header.sequence, header.time_ns, now))
        if header.flags & (FLAG_GAP | FLAG_ERROR):
            error = bool(header.flags & FLAG_ERROR)
            self._what.gaps.append(Gap(self._size, len(data), header.lost_bytes, error))
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make the recording whole; what came before an error is kept too, as a recording."""
        self._file.close()
        if not self._size:
            self._part.unlink()
            return
        text = json.dumps(metadata(self._what, self._hash.hexdigest()), indent=2) + "\n"
        self.path.with_name(self.path.name + META).write_text(text, encoding="utf-8")
        self._part.replace(self._data)
