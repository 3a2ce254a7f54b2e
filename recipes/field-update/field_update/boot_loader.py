# SPDX-License-Identifier: MIT
"""SPL and U-Boot of this board, replaced by those that the running slot carries, so that a power cut harms at no point.

The boot ROM takes the first of four SPL copies whose header and CRC are right; SPL takes U-Boot from the one place that
is compiled into it. So there are two places, and of each SPL two builds, one for each (`docs/upgrade.md`, "SPL and
U-Boot"). What is replaced is never what would be booted:

    1  U-Boot into the place that the SPL which boots now does not use; read back
    2  SPL for that place into copies 3, 2, 1, then 0: each one's first sector cleared, then the rest, read back, then
       the first sector, which has the header, read back

Until copy 0 is touched the old pair boots; from then on the new one, by copy 1 until copy 0 is whole. Begun again
after a cut, it finishes. A copy says by its last bytes, behind what the boot ROM reads, which place its SPL uses; they
count only in a copy that is whole, and a copy without them uses the first place.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from field_update.system import Failure

CARRIED = Path("/usr/lib/cyclone-capture/boot-loader")
FW_ENV = Path("/etc/fw_env.config")
BLOCKS = Path("/sys/class/block")
SECTOR, SPL_COPIES = 512, 4
MARK = b"U-Boot at place "
ORDER = (3, 2, 1, 0)
_SPL = struct.Struct("<IBBHHH")  # validation word, version, flags, length in words, zero, byte sum
_LEGACY = struct.Struct(">7I")  # magic, header CRC, time, size, load, entry, data CRC
_AT, _AS01, _LEGACY_MAGIC, _LEGACY_BYTES = 0x40, 0x31305341, 0x27051956, 64
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Medium:
    """The boot partition; `write` returns when it is on the medium, `read` reads from there."""

    def __init__(self, device: str) -> None:
        """Open block device `device`."""
        self._file = os.open(device, os.O_RDWR | os.O_CLOEXEC)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`, from the medium."""
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(self._file, size, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Write `data`, and wait for the medium."""
        while data:
            done = os.pwrite(self._file, data, offset)
            offset, data = offset + done, data[done:]
        os.fsync(self._file)

    def close(self) -> None:
        """Close the device."""
        os.close(self._file)


class Loader(NamedTuple):
    """A boot loader as a slot carries it: SPL for each place, U-Boot, and the layout that they are built for."""

    spl: tuple[bytes, ...]
    u_boot: bytes
    layout: dict[str, Any]


def carried(folder: Path = CARRIED) -> Loader:
    """What the running slot carries. Raises Failure: it carries none."""
    try:
        layout = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
        spl = tuple((folder / f"spl-{number}").read_bytes() for number in range(len(layout["u_boot_offsets"])))
        return Loader(spl, (folder / "u-boot.img").read_bytes(), layout)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"the running slot carries no boot loader: {error} (valid: one that ./inv build made)") from error


def spl_is_whole(copy: bytes) -> bool:
    """Whether the boot ROM would take this copy: header, its sum, and the CRC of the image."""
    word, version, _flags, words, _zero, total = _SPL.unpack_from(copy, _AT)
    size = words * 4
    if word != _AS01 or version or total != sum(copy[_AT : _AT + _SPL.size - 2]) & 0xFFFF:
        return False
    if not _AT + _SPL.size + 4 <= size <= len(copy) - len(MARK) - 1:
        return False
    crc = int(f"{zlib.crc32(copy[: size - 4].translate(_REVERSED)):032b}"[::-1], 2)
    return crc == int.from_bytes(copy[size - 4 : size], "little")


def place_of(copy: bytes) -> int:
    """Which place the SPL in a whole copy takes U-Boot from."""
    at = len(copy) - len(MARK) - 1
    return copy[-1] if copy[at:-1] == MARK else 0


def refusals(loader: Loader, size: int, start: int, environment: str) -> list[str]:
    """Why `loader` does not fit this card: partition of `size` bytes at `start`, `fw_env.config` in `environment`."""
    layout, found = loader.layout, []
    if (start, size) != (layout["offset"], layout["size"]):
        found.append(f"partition 1 has {size} bytes at {start} (valid: {layout['size']} at {layout['offset']})")
    seen = [line.split()[1:3] for line in environment.splitlines() if line.strip() and not line.startswith("#")]
    wanted = [[hex(offset), hex(layout["environment_bytes"])] for offset in layout["environment_offsets"]]
    if seen != wanted:
        found.append(f"the environment is at {seen} (valid: {wanted}, where the new U-Boot looks)")
    for number, copy in enumerate(loader.spl):
        if len(copy) != layout["spl_bytes"] or not spl_is_whole(copy) or place_of(copy) != number:
            found.append(f"spl-{number} is damaged (valid: {layout['spl_bytes']} bytes, header, CRC and place right)")
    ends = [*layout["u_boot_offsets"][1:], layout["size"]]
    room = min(end - begin for begin, end in zip(layout["u_boot_offsets"], ends, strict=True))
    if len(loader.u_boot) > room:
        found.append(f"U-Boot has {len(loader.u_boot)} bytes (valid: up to {room}, its place in partition 1)")
    if not _u_boot_is_whole(loader.u_boot):
        found.append("u-boot.img is damaged (valid: a legacy image whose CRCs are right)")
    return found


def _u_boot_is_whole(image: bytes) -> bool:
    if len(image) < _LEGACY_BYTES:
        return False
    words: tuple[int, ...] = _LEGACY.unpack_from(image)
    bare = image[:4] + bytes(4) + image[8:_LEGACY_BYTES]
    content = image[_LEGACY_BYTES : _LEGACY_BYTES + words[3]]
    found = (words[0], words[1], len(content), words[6])  # magic, header CRC, size, data CRC
    return found == (_LEGACY_MAGIC, zlib.crc32(bare), words[3], zlib.crc32(content))


def replace(medium: Medium, loader: Loader, say: Callable[[str], None]) -> bool:
    """Make `loader`, which fits, what boots; whether anything was written. Raises Failure."""
    copies = [_copy(medium, loader, number) for number in range(SPL_COPIES)]
    whole = [copy for copy in copies if spl_is_whole(copy)]
    if not whole:
        raise Failure("none of the four SPL copies is whole (valid: write the card anew, ./inv flash)")
    place = place_of(whole[0])
    if place >= len(loader.spl):
        raise Failure(f"SPL takes U-Boot from place {place} (valid: 0 to {len(loader.spl) - 1})")
    at = loader.layout["u_boot_offsets"]
    if whole[0] != loader.spl[place] or medium.read(at[place], len(loader.u_boot)) != loader.u_boot:
        place = (place + 1) % len(at)
        _write(medium, at[place], loader.u_boot)
        say(f"U-Boot is written to place {place}")
    wrong = [number for number in ORDER if copies[number] != loader.spl[place]]
    for number in wrong:
        _write_copy(medium, number * loader.layout["spl_bytes"], loader.spl[place])
        say(f"SPL copy {number} is written, for place {place}")
    return bool(wrong)


def _copy(medium: Medium, loader: Loader, number: int) -> bytes:
    size = loader.layout["spl_bytes"]
    return medium.read(number * size, size)


def _write_copy(medium: Medium, offset: int, copy: bytes) -> None:
    _write(medium, offset, bytes(SECTOR))  # from here on the boot ROM passes this copy by
    _write(medium, offset + SECTOR, copy[SECTOR:])
    _write(medium, offset, copy[:SECTOR])


def _write(medium: Medium, offset: int, data: bytes) -> None:
    medium.write(offset, data)
    if medium.read(offset, len(data)) != data:
        raise Failure(f"the card does not hold what was written at {offset:#x} of partition 1 (valid: another card)")


def upgrade(say: Callable[[str], None]) -> bool:
    """Replace the boot loader of this board; whether anything was written. Raises Failure: it does not fit."""
    loader = carried()
    device = str(loader.layout["device"])
    facts = BLOCKS / Path(device).name
    start, size = (int((facts / name).read_text(encoding="ascii")) * SECTOR for name in ("start", "size"))
    if found := refusals(loader, size, start, FW_ENV.read_text(encoding="ascii")):
        raise Failure("the boot loader does not fit this board: " + "; ".join(found))
    medium = Medium(device)
    try:
        return replace(medium, loader, say)
    finally:
        medium.close()
