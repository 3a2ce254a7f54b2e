# SPDX-License-Identifier: MIT
"""The functions of `capture_boot_loader.bbclass`: a slot carries what the Debian engine makes of the same images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firmware import boot_loader, layout
from tests.golden import bbclass

pytestmark = pytest.mark.golden

FACTS = json.loads(boot_loader.layout_text())


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    """The class's plain Python functions, by name."""
    return bbclass.functions("capture_boot_loader")


def image(place: int) -> bytes:
    """As U-Boot's build leaves it: four SPL copies, each with its header, and U-Boot behind them."""
    words = (40 << 10) // 4
    spl = bytes(0x40) + b"AS01" + bytes(2) + words.to_bytes(2, "little") + bytes([place])
    copy = spl.ljust(layout.SPL_BYTES, b"\0")
    return copy * layout.SPL_COPIES + bytes.fromhex("27051956") + b"u-boot" * 100


def test_both_engines_make_the_same(functions: dict[str, Any], tmp_path: Path) -> None:
    images = [image(place) for place in range(len(layout.U_BOOT_OFFSETS))]
    boot_loader.make(tmp_path, images[0], images[1:], {"bootcmd": "boot"})
    made = {path.name: path.read_bytes() for path in (tmp_path / boot_loader.LOADER).iterdir()}
    for rendered in ("layout.json", "environment.json"):
        made.pop(rendered)
    assert functions["boot_loader_faults"](images, FACTS) == []
    assert functions["boot_loader_files"](images, FACTS) == made


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (image(0).replace(b"AS01", b"AS02"), "the image for place 0 has no SPL at 0x0 (valid: one each 0x10000)"),
        (image(0)[: layout.U_BOOT_OFFSET], "the image for place 0 has no U-Boot at 0x40000 (valid: a legacy image)"),
        (image(0).ljust(layout.U_BOOT_OFFSETS[1] + 1), "has 2097153 bytes (valid: at most 2097152)"),
        (image(0)[:0x46] + b"\xff\xff" + image(0)[0x48:], "place 0 has more than the 60 KiB that the boot ROM takes"),
    ],
)
def test_what_would_not_boot_is_refused(functions: dict[str, Any], first: bytes, said: str) -> None:
    assert said in "\n".join(functions["boot_loader_faults"]([first, image(1)], FACTS))


def test_a_place_without_its_spl_is_refused(functions: dict[str, Any]) -> None:
    assert functions["boot_loader_faults"]([image(0)], FACTS) == ["SPL is built for 1 places (valid: 2)"]
