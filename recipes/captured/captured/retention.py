# SPDX-License-Identifier: MIT
"""How much a folder of recordings may hold: oldest go first, never one that is being written."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from captured.config import Disk
from captured.recording import DATA, META, SHA, named

_log = logging.getLogger(__name__)


def whole(folder: Path) -> list[str]:
    """Names of the whole recordings, oldest first."""
    found = [path for path in folder.glob(f"*{DATA}") if path.with_name(path.name.removesuffix(DATA) + META).exists()]
    return [path.name.removesuffix(DATA) for path in sorted(found, key=lambda path: (path.stat().st_mtime, path.name))]


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written there. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def remove(folder: Path, name: str) -> int:
    """Remove a recording; bytes of its samples. Raises OSError."""
    data = named(folder, name, DATA)
    size = data.stat().st_size
    for suffix in (META, SHA, DATA):
        named(folder, name, suffix).unlink(missing_ok=True)
    _log.info("recording %s: removed, as the configuration says", name)
    return size


def tidy(config: Disk, wanted: int = 0) -> int:
    """Remove what is too much; bytes that may be written then, at most `wanted` needed. Raises OSError."""
    folder = config.folder
    names = whole(folder)
    sizes = {name: named(folder, name, DATA).stat().st_size for name in names}
    while names and _too_much(config, names, sum(sizes[name] for name in names)):
        remove(folder, names.pop(0))
    if config.when_full == "delete-oldest":
        while names and free_bytes(folder) - config.min_free_bytes < wanted:
            remove(folder, names.pop(0))
    return max(0, free_bytes(folder) - config.min_free_bytes)


def _too_much(config: Disk, names: list[str], size: int) -> bool:
    return bool(
        (config.keep_files and len(names) > config.keep_files) or (config.keep_bytes and size > config.keep_bytes)
    )
