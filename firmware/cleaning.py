# SPDX-License-Identifier: MIT
"""Cleaning: delete what can be made again. Signing keys, SSH keys and known hosts are never touched.

`build/` holds results, reports and the emulated board's card; the cache holds sources and stages of all checkouts.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from firmware import emulator_session, paths
from firmware.errors import UserError


def planned(cache: bool) -> list[Path]:
    """Folders that a cleaning deletes."""
    return [place for place in ([paths.BUILD, paths.cache()] if cache else [paths.BUILD]) if place.exists()]


def clean(cache: bool = False) -> None:
    """Delete `build/`, and with `cache` the cache too. Raises UserError while an emulated board runs."""
    for name in sorted(path.parent.name for path in paths.BUILD.glob("*/emulator")):
        if emulator_session.running(name):
            raise UserError(f"the emulated board is on (valid: first ./inv emulate --stop --board={name})")
    for folder in planned(cache):
        shutil.rmtree(folder)
        print(f"deleted {folder}")
