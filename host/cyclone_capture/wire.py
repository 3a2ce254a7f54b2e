# SPDX-License-Identifier: MIT
"""The stream's framing, by the names that the receiver uses; `record` is the board's own file."""

from __future__ import annotations

from .record import FLAG_END, FLAG_ERROR, FLAG_GAP, HEADER_BYTES, MAX_PAYLOAD_BYTES, Header, pack, unpack

__all__ = [
    "FLAG_END",
    "FLAG_ERROR",
    "FLAG_GAP",
    "HEADER_BYTES",
    "MAX_PAYLOAD_BYTES",
    "Header",
    "pack",
    "unpack",
]
