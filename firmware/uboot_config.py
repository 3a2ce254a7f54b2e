# SPDX-License-Identifier: MIT
"""What U-Boot's built `.config` must say, by release: the two engines build two.

The Debian engine's release takes the fragments as they are. Later ones call some symbols by other names, which stand in
`templates/yocto/u-boot-2026.cfg.j2`; the old names are the bbappend's CONFIG_ASSERT_SKIP. A `.config` says itself which
release it is of, in its first lines.
"""

from __future__ import annotations

import re

from firmware import kconfig, render, uboot
from firmware.board import Board

APPEND = uboot.FILES.parent / "u-boot_2026.01.bbappend"
TEMPLATE = "yocto/u-boot-2026.cfg.j2"
NEW_NAMES = (2025, 10)  # the first release with them


def release(config: str) -> tuple[int, int] | None:
    """Year and month of the U-Boot that `config` was made by; None when it does not say."""
    found = re.search(r"^# U-Boot (\d{4})\.(\d\d)\S* Configuration$", config, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None


def old_names() -> frozenset[str]:
    """Symbols of the fragments that the releases from `NEW_NAMES` on have under another name, or not at all."""
    text = APPEND.read_text(encoding="utf-8")
    found = re.search(r'^CONFIG_ASSERT_SKIP\S* = "([^"]*)"', text, re.MULTILINE)
    if found is None:
        raise AssertionError(f"{APPEND} has no CONFIG_ASSERT_SKIP")
    return frozenset(f"CONFIG_{name}" for name in found[1].replace("\\", " ").split())


def lost(board: Board, config: str) -> list[str]:
    """What of the fragments for `board` did not take effect in `config`, by the names of its own release."""
    made_by = release(config)
    if made_by is None:
        return [
            "says of no release (valid: a .config as U-Boot's build leaves it, with '# U-Boot 2023.01 Configuration')"
        ]
    wanted = uboot.fragments(board)
    if made_by < NEW_NAMES:
        return kconfig.lost(config, wanted)
    wanted[f"templates/{TEMPLATE}"] = render.text(TEMPLATE, board)
    return kconfig.lost(config, wanted, without=old_names())
