# SPDX-License-Identifier: MIT
"""The stream's framing on the host: the very file that the board's service uses, `recipes/captured/captured/record.py`.

The format is written once; this module makes it importable here and names what the host needs of it.
"""

from __future__ import annotations

import sys

from firmware import paths

_FOLDER = str(paths.ROOT / "recipes" / "captured")
if _FOLDER not in sys.path:
    sys.path.append(_FOLDER)

from captured.record import (  # noqa: E402
    FLAG_END,
    FLAG_ERROR,
    FLAG_GAP,
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Header,
    pack,
    unpack,
)

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
