# SPDX-License-Identifier: MIT
"""The stream's framing: a record is a header of 48 bytes and its payload (docs/stream-format.md). Little-endian.

The one description of the format: the service on the board and the receiver on the host both import this file.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"CCAP"
VERSION = 1
FLAG_GAP = 1
FLAG_ERROR = 2
FLAG_END = 4
FLAGS = FLAG_GAP | FLAG_ERROR | FLAG_END
MAX_PAYLOAD_BYTES = 16 << 20  # the largest block that a board file may name

_FORMAT = struct.Struct("<4sHHIIQQQQ")
HEADER_BYTES = _FORMAT.size


class Header(NamedTuple):
    """What a header says beyond its magic, see docs/stream-format.md; `time_ns` is CLOCK_MONOTONIC."""

    flags: int
    payload_bytes: int
    sequence: int
    time_ns: int
    lost_bytes: int
    capture: int


def pack(header: Header) -> bytes:
    """The 48 bytes of `header`."""
    flags, payload_bytes, sequence, time_ns, lost_bytes, capture = header
    return _FORMAT.pack(MAGIC, VERSION, flags, HEADER_BYTES, payload_bytes, sequence, time_ns, lost_bytes, capture)


def unpack(data: bytes | bytearray | memoryview) -> Header:
    """Header in the first 48 bytes of `data`. Raises ValueError that names the field, its value and what is valid."""
    if len(data) < HEADER_BYTES:
        raise ValueError(f"header is cut off after {len(data)} bytes (valid: {HEADER_BYTES})")
    magic, version, flags, header_bytes, payload_bytes, *rest = _FORMAT.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"magic is {magic!r} (valid: {MAGIC!r})")
    if version != VERSION:
        raise ValueError(f"version is {version} (valid: {VERSION})")
    if header_bytes != HEADER_BYTES:
        raise ValueError(f"header_bytes is {header_bytes} (valid: {HEADER_BYTES})")
    if flags & ~FLAGS:
        raise ValueError(f"flags are {flags:#x} (valid: any of {FLAGS:#x})")
    if payload_bytes > MAX_PAYLOAD_BYTES:
        raise ValueError(f"payload_bytes is {payload_bytes} (valid: at most {MAX_PAYLOAD_BYTES})")
    if flags & FLAG_END and payload_bytes:
        raise ValueError(f"payload_bytes is {payload_bytes} in an end record (valid: 0)")
    return Header(flags, payload_bytes, *rest)
