# SPDX-License-Identifier: MIT
"""Where things live: the checkout's rooms and the user's own folders (XDG base directory specification)."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ROOT / "board"
BUILD = ROOT / "build"


def cache() -> Path:
    """Folder of the content-addressed cache, shared by all checkouts; it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cyclone-capture"


def data() -> Path:
    """Folder of what must not be lost: signing keys, known hosts."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "cyclone-capture"
