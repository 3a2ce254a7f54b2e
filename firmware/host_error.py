# SPDX-License-Identifier: MIT
"""Errors of the operating system that are no bugs: a disk that is full, a folder that cannot be written.

`explain` makes a UserError of one, which says where and what to do; None when it is something else. Where the disk is
full, Python does not say when it is a write that fails: the folders that we write to are looked at.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from firmware import paths
from firmware.errors import UserError

FULL, REFUSED = {errno.ENOSPC, errno.EDQUOT}, {errno.EACCES, errno.EROFS}
LITTLE = 16 << 20  # bytes: a disk with less is taken for the full one


def explain(error: OSError, places: Iterable[Path] | None = None) -> UserError | None:
    """What to tell the user of `error`; `places` are where we write."""
    if error.errno in FULL:
        places = (paths.BUILD, paths.cache(), Path(tempfile.gettempdir())) if places is None else places
        left = {place: shutil.disk_usage(_existing(place)).free for place in places}
        full = [f"{free >> 20} MiB left at {place}" for place, free in left.items() if free < LITTLE]
        where = str(error.filename) if error.filename else ", ".join(full) or os.strerror(error.errno or 0)
        return UserError(f"no room: {where} (valid: room on that disk, or build/ or XDG_CACHE_HOME on another)")
    if error.errno in REFUSED and error.filename:
        return UserError(f"{error.filename}: {error.strerror} (valid: a place that this user may read and write)")
    return None


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.parents) if folder.exists())
