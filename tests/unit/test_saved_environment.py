# SPDX-License-Identifier: MIT
"""U-Boot's environment through the real fw_printenv: settings that lead elsewhere are found."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import layout, render, saved_environment, uboot

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("fw_printenv") is None, reason="no fw_printenv on this host"),
]
BOARD = boards.load("sockit")
CONFIG = render.text("update/fw_env.config.j2", BOARD)
BUILT = uboot.variables(render.text("boot/environment.txt.j2", BOARD))
FIRST, SECOND = (f"{layout.CARD_DEVICE} {offset:#x}" for offset in layout.ENVIRONMENT_OFFSETS)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "fw_env.config names no device .valid: /dev/mmcblk0"),
        ("nonsense\n", "fw_env.config names nonsense .valid"),
        (f"{layout.CARD_DEVICE}\n", "fw_printenv does not see .*valid: the layout's places"),
        (CONFIG.replace(FIRST, f"{layout.CARD_DEVICE} 0x4400"), "fw_printenv does not see"),
        (CONFIG.replace(FIRST, SECOND), "fw_printenv does not see what U-Boot has saved: other values"),
        (CONFIG.replace(f"{layout.ENVIRONMENT_BYTES:#x}", "0x2000"), "fw_printenv does not see"),
        (CONFIG.replace(SECOND, FIRST), "fw_setenv does not make U-Boot's older copy the newer one"),
    ],
)
def test_settings_that_do_not_lead_to_the_environment(config: str, said: str) -> None:
    assert config != CONFIG
    (found,) = saved_environment.faults(BUILT, config)
    assert re.search(said, found), found


def test_rendered_settings_lead_to_it() -> None:
    assert saved_environment.faults(BUILT, CONFIG) == []


def test_nothing_but_the_card_is_written(tmp_path: Path) -> None:
    """The settings may be of somebody else's image."""
    other = tmp_path / "disk"
    other.write_bytes(b"x" * layout.ENVIRONMENT_BYTES)
    (found,) = saved_environment.faults(BUILT, CONFIG.replace(SECOND, f"{other} 0x0"))
    assert found == f"fw_env.config names {layout.CARD_DEVICE}, {other} (valid: {layout.CARD_DEVICE})"
    assert other.read_bytes() == b"x" * layout.ENVIRONMENT_BYTES
