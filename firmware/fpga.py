# SPDX-License-Identifier: MIT
"""The Cyclone V parts of the supported boards, as the emulated board must show them.

`idcode`: 32 bits, as the JTAG chain gives it (Cyclone V Device Handbook, "JTAG Boundary-Scan Testing"; U-Boot's
misc_gen5.c prints it). `raw_bytes`: size of an uncompressed bitstream (Cyclone V Device Datasheet, "Configuration
Files", table "Uncompressed .rbf Sizes": 33,958,560 and 56,057,632 bits). `head_bytes`: what of it stands before the
configuration memory and is never compressed. Project Mistral (lib/cv-files.cc, cvd-sx50f.cc, cvd-sx120f.cc) has the
frames of both dies, and their sum is `raw_bytes` to the byte: the head, 6006 frames of 700 or 7605 of 916 bytes, and
616 bytes.
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
    head_bytes: int


TAIL_BYTES = 616  # behind the configuration memory, never compressed
_A4 = Part(idcode=0x02D010DD, raw_bytes=4_244_820, head_bytes=40_004)
_A6 = Part(idcode=0x02D020DD, raw_bytes=7_007_204, head_bytes=40_408)
PARTS: dict[str, Part] = {"5CSEMA4": _A4, "5CSEBA6": _A6, "5CSXFC6": _A6}
