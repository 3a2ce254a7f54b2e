# SPDX-License-Identifier: MIT
"""The boot loader as a slot carries it, for `field-update boot-loader` of the board (recipes/field-update).

SPL takes U-Boot from the one place that is compiled into it. The card has two places, so the slot carries SPL for each
of them: a new U-Boot goes to the place that does not boot, and SPL for it follows (`docs/upgrade.md`).
"""

from __future__ import annotations

import json
from pathlib import Path

from firmware import layout
from firmware.proof import Read

LOADER = "boot-loader"
CARRIED = ("spl-0", "u-boot.img")  # what a new card has
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


def faults(read: Read, slot: dict[str, bytes], folder: str) -> list[str]:
    """What of a new card's boot loader is not what `slot` carries in `folder` for the first place of U-Boot.

    `read` gives bytes of the card by offset and size. SPL says nowhere else where it looks for U-Boot: one that is
    built for the other place is whole, and finds nothing.
    """
    spl, u_boot = (slot.get(f"{folder}/{name}") for name in CARRIED)
    if spl is None or u_boot is None:
        missing = [f"{folder}/{name}" for name in CARRIED if f"{folder}/{name}" not in slot]
        return [f"{', '.join(missing)} is not in slot A (valid: as the engines put it there)"]
    begin = layout.BOOT.offset
    found = [
        f"SPL copy {index} is not slot A's {CARRIED[0]} (valid: the SPL that takes U-Boot from the first place)"
        for index in range(layout.SPL_COPIES)
        if read(begin + index * layout.SPL_BYTES, layout.SPL_BYTES) != spl.ljust(layout.SPL_BYTES, b"\0")
    ]
    if read(begin + layout.U_BOOT_OFFSETS[0], len(u_boot)) != u_boot:
        found.append(
            f"U-Boot, {layout.U_BOOT_OFFSETS[0]:#x} behind the SPL copies' start, is not slot A's {CARRIED[1]}"
        )
    return found


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
