# SPDX-License-Identifier: MIT
"""SigMF metadata of a recording (Signal Metadata Format 1.2): datatype, captures, and each gap as an annotation.

Places are in samples. What SigMF does not know is in the namespace `cyclone_capture`: number and time of the capture,
bytes lost, SHA-256 of the data file, and whether a recording was repaired after a power cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = "1.2.0"
_EXTENSIONS = [{"name": "cyclone_capture", "version": "1.0.0", "optional": True}]


@dataclass(frozen=True)
class Gap:
    """Bytes lost before or inside the block at byte `at` of the file, `size` bytes long; `error`: the DMA's.

    With size 0 they were lost behind the last block.
    """

    at: int
    size: int
    lost: int
    error: bool = False


@dataclass(frozen=True)
class Segment:
    """Where a capture begins in the file (byte), its number, first sequence, board's clock (ns), and wall clock."""

    at: int
    capture: int
    sequence: int
    time_ns: int
    datetime: str


@dataclass
class Description:
    """All that a recording's metadata says beside its length."""

    datatype: str
    board: str
    rate: int  # bytes a second; 0: not known
    pattern: str
    segments: list[Segment] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    part: int = 0


def sample_bytes(datatype: str) -> int:
    """Bytes of one sample of a SigMF datatype, such as 4 of `ru32_le` and 4 of `ci16_le`."""
    bits = re.search(r"\d+", datatype)
    size = int(bits[0]) // 8 if bits else 1
    return size * (2 if datatype.startswith("c") else 1)


def metadata(what: Description, sha256: str | None = None, repaired: Sequence[str] = ()) -> dict[str, object]:
    """Contents of the `.sigmf-meta` file."""
    size = sample_bytes(what.datatype)
    head: dict[str, object] = {
        "core:datatype": what.datatype,
        "core:version": VERSION,
        "core:recorder": "cyclone-capture",
        "core:hw": what.board,
        "core:num_channels": 1,
        "core:extensions": _EXTENSIONS,
        "cyclone_capture:pattern": what.pattern,
        "cyclone_capture:part": what.part,
    }
    if what.rate:
        head["core:sample_rate"] = what.rate / size
    if sha256:
        head["cyclone_capture:sha256"] = sha256
    if repaired:
        head["cyclone_capture:repaired"] = " ".join(repaired)
    return {
        "global": head,
        "captures": [_capture(one, size) for one in what.segments],
        "annotations": [_annotation(one, size) for one in what.gaps],
    }


def text(found: dict[str, Any]) -> str:
    """`metadata` as JSON text: a line for each capture and annotation.

    Not json's own indentation: that leaves cycles for the garbage collector each time (closures that know one another),
    and a service that rotates files for months needs no such waste.
    """
    parts = []
    for name, value in found.items():
        if isinstance(value, list):
            rows = ",".join(f"\n    {json.dumps(row)}" for row in value)
            parts.append(f"  {json.dumps(name)}: [{rows}\n  ]")
        else:
            rows = ",".join(f"\n    {json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items())
            parts.append(f"  {json.dumps(name)}: {{{rows}\n  }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _capture(segment: Segment, size: int) -> dict[str, object]:
    return {
        "core:sample_start": segment.at // size,
        "core:datetime": segment.datetime,
        "cyclone_capture:capture": segment.capture,
        "cyclone_capture:sequence": segment.sequence,
        "cyclone_capture:time_ns": segment.time_ns,
    }


def _annotation(gap: Gap, size: int) -> dict[str, object]:
    where = "before or in these samples" if gap.size else "behind the last sample"
    said = "the DMA reported an error" if gap.error else f"{gap.lost} bytes were lost {where}"
    return {
        "core:sample_start": gap.at // size,
        "core:sample_count": max(1, gap.size // size) if gap.size else 0,
        "core:label": "error" if gap.error else "gap",
        "core:comment": said,
        "cyclone_capture:lost_bytes": gap.lost,
    }


def to_json(what: Description) -> dict[str, object]:
    """For the journal."""
    return asdict(what)


def from_json(found: dict[str, object]) -> Description:
    """From the journal. Raises TypeError, ValueError: it is none."""
    values = dict(found)
    segments, gaps = values.pop("segments", []), values.pop("gaps", [])
    made = Description(**values)  # type: ignore[arg-type]
    if not isinstance(segments, list) or not isinstance(gaps, list):
        raise ValueError("segments and gaps are lists")
    made.segments = [Segment(**one) for one in segments]
    made.gaps = [Gap(**one) for one in gaps]
    return made
