# SPDX-License-Identifier: MIT
"""The Cyclone V parts of the supported boards, as the emulated board must show them.

`idcode`: 32 bits, as the JTAG chain gives it (Cyclone V Device Handbook, "JTAG Boundary-Scan Testing"; U-Boot's
misc_gen5.c prints it). `raw_bytes`: size of an uncompressed bitstream (Cyclone V Device Datasheet, "Uncompressed .rbf
Sizes").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Name = Literal["5CSEMA4", "5CSEBA6", "5CSXFC6"]


@dataclass(frozen=True)
class Part:
    """What tells one part from another."""

    idcode: int
    raw_bytes: int


_A4 = Part(idcode=0x02D010DD, raw_bytes=4_244_820)
_A6 = Part(idcode=0x02D020DD, raw_bytes=7_007_204)
PARTS: dict[str, Part] = {"5CSEMA4": _A4, "5CSEBA6": _A6, "5CSXFC6": _A6}
