# SPDX-License-Identifier: MIT
"""The boot loader as a slot carries it, for `field-update boot-loader` of the board (recipes/field-update).

SPL takes U-Boot from the one place that is compiled into it. The card has two places, so the slot carries SPL for each
of them: a new U-Boot goes to the place that does not boot, and SPL for it follows (`docs/upgrade.md`).
"""

from __future__ import annotations

import json
from pathlib import Path

from firmware import layout

LOADER = "boot-loader"
MARK = b"U-Boot at place "  # as in field_update/boot_loader.py of the board


def marked(image: bytes, place: int) -> bytes:
    """One SPL copy of a whole image, told to take U-Boot from `place`; the mark lies behind what the boot ROM reads."""
    copy = image[: layout.SPL_BYTES]
    return copy if place == 0 else copy[: -len(MARK) - 1] + MARK + bytes([place])


def layout_text() -> str:
    """What `field_update/boot_loader.py` of the board must know of the card, as JSON."""
    facts = {
        "device": layout.BOOT.device,
        "offset": layout.BOOT.offset,
        "size": layout.BOOT.size,
        "spl_bytes": layout.SPL_BYTES,
        "u_boot_offsets": layout.U_BOOT_OFFSETS,
        "environment_offsets": layout.ENVIRONMENT_OFFSETS,
        "environment_bytes": layout.ENVIRONMENT_BYTES,
    }
    return json.dumps(facts, indent=2) + "\n"


def environment_text(variables: dict[str, str]) -> str:
    """The environment that is compiled in, as JSON: `field_update/environment.py` compares it with what is saved."""
    return json.dumps(variables, indent=2, sort_keys=True) + "\n"


def make(folder: Path, first: bytes, others: list[bytes], variables: dict[str, str]) -> None:
    """The folder `boot-loader`, which goes into the slot: SPL for each place, U-Boot, and the layout they are for.

    `first` is the whole image for the first place, `others` are those for the ones behind it.
    """
    out = folder / LOADER
    out.mkdir()
    for place, image in enumerate([first, *others]):
        (out / f"spl-{place}").write_bytes(marked(image, place))
    (out / "u-boot.img").write_bytes(first[layout.U_BOOT_OFFSET :])
    (out / "layout.json").write_text(layout_text(), encoding="utf-8")
    (out / "environment.json").write_text(environment_text(variables), encoding="utf-8")
