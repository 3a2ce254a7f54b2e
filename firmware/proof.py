# SPDX-License-Identifier: MIT
"""The proof: parse a finished card image and say what is wrong with it; an empty list means that it boots.

Checked: the MBR against the layout (0xA2 exactly once, nothing overlaps), the boot ROM's view of the four SPL copies
(header "AS01" at 0x40 with its byte sum; CRC-32 with bzip2's bit order over the image, whose length the header gives in
words: U-Boot's `tools/socfpgaimage.c` and the Cyclone V HPS Technical Reference Manual, appendix A), a whole U-Boot
behind them, environment copies that are blank or valid, slots of one size, the file systems' labels and sizes.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from firmware import layout, uboot_image

Read = Callable[[int, int], bytes]  # offset, bytes

MBR_SIGNATURE = b"\x55\xaa"
MBR_TABLE = 446
SPL_TYPE = 0xA2
SPL_HEADER_OFFSET = 0x40
SPL_HEADER = struct.Struct("<IBBHHH")  # validation word, version, flags, length in words, zero, byte sum
SPL_VALIDATION = 0x31305341  # "AS01"
SPL_LIMIT = 60 * layout.KIB  # what the boot ROM leaves of the 64 KiB of on-chip memory
ENVIRONMENT_HEADER = 5  # CRC-32 of what follows the header (little-endian), flag (U-Boot, include/env_internal.h)
EXT4_SUPER, EXT4_MAGIC = 1024, 0xEF53
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class MbrEntry:
    """One entry of the partition table; `offset` and `size` are bytes."""

    number: int
    type: int
    offset: int
    size: int


def reader(stream: BinaryIO) -> Read:
    """Bytes of `stream` by offset and size."""

    def read(offset: int, size: int) -> bytes:
        stream.seek(offset)
        return stream.read(size)

    return read


def partitions(sector: bytes) -> list[MbrEntry]:
    """Used entries of an MBR's first sector; empty when it has no signature."""
    if sector[510:512] != MBR_SIGNATURE:
        return []
    found = []
    for index in range(4):
        entry = sector[MBR_TABLE + 16 * index : MBR_TABLE + 16 * (index + 1)]
        start, count = struct.unpack("<II", entry[8:16])
        if entry[4]:
            found.append(MbrEntry(index + 1, entry[4], start * layout.SECTOR_BYTES, count * layout.SECTOR_BYTES))
    return found


def crc32_bzip2(data: bytes) -> int:
    """CRC-32 with the most significant bit first, as bzip2 and the boot ROM compute it."""
    return int(f"{zlib.crc32(data.translate(_REVERSED)):032b}"[::-1], 2)


def check_spl(copy: bytes) -> str:
    """What is wrong with one SPL copy, or an empty text."""
    validation, version, _flags, words, _zero, checksum = SPL_HEADER.unpack_from(copy, SPL_HEADER_OFFSET)
    if validation != SPL_VALIDATION:
        return f"validation word {validation:#010x} (valid: {SPL_VALIDATION:#010x})"
    if version != 0:
        return f"header version {version} (valid: 0, Cyclone V)"
    wanted = sum(copy[SPL_HEADER_OFFSET : SPL_HEADER_OFFSET + SPL_HEADER.size - 2]) & 0xFFFF
    if checksum != wanted:
        return f"header checksum {checksum:#06x} (valid: {wanted:#06x})"
    size = words * 4
    if not SPL_HEADER_OFFSET + SPL_HEADER.size + 4 <= size <= SPL_LIMIT:
        return f"image length {size} (valid: up to {SPL_LIMIT})"
    stored = int.from_bytes(copy[size - 4 : size], "little")
    computed = crc32_bzip2(copy[: size - 4])
    if stored != computed:
        return f"image CRC {stored:#010x} (valid: {computed:#010x})"
    return ""


def check_boot(read: Read, offset: int) -> list[str]:
    """What is wrong with the 0xA2 partition that starts at `offset`."""
    found = []
    for index in range(layout.SPL_COPIES):
        wrong = check_spl(read(offset + index * layout.SPL_BYTES, layout.SPL_BYTES))
        if wrong:
            found.append(f"SPL copy {index}: {wrong}")
    content = read(offset + layout.U_BOOT_OFFSET, layout.BOOT.size - layout.U_BOOT_OFFSET)
    place = f"U-Boot, {layout.U_BOOT_OFFSET:#x} behind the SPL copies' start, where SPL looks"
    return found + [f"{place}: {wrong}" for wrong in uboot_image.check(content)]


def check_table(entries: list[MbrEntry]) -> list[str]:
    """What is wrong with the partition table."""
    found = []
    types = [entry.type for entry in entries]
    if types.count(SPL_TYPE) != 1:
        found.append(f"type {SPL_TYPE:#x} is there {types.count(SPL_TYPE)} times (valid: once)")
    wanted = [MbrEntry(p.number, p.type, p.offset, p.size) for p in layout.PARTITIONS]
    found += [f"partition {w.number} is not as in the layout: {w}" for w in wanted if w not in entries]
    found += [f"partition {e.number} is not in the layout: {e}" for e in entries if e not in wanted]
    slots = {e.number: e.size for e in entries if e.number in [slot.number for slot in layout.SLOTS.values()]}
    if len(set(slots.values())) > 1:
        found.append(f"the slots differ in size: {slots} bytes by partition (valid: equal)")
    regions = [(e.offset, e.offset + e.size, f"partition {e.number}") for e in entries]
    regions += [(at, at + layout.ENVIRONMENT_BYTES, f"environment at {at:#x}") for at in layout.ENVIRONMENT_OFFSETS]
    regions.sort()
    for (_, end, name), (start, _, other) in itertools.pairwise(regions):
        if end > start:
            found.append(f"{name} and {other} overlap")
    return found


def check_environment(read: Read) -> list[str]:
    """What is wrong with the environment's copies: on a new card both are blank, and U-Boot takes the one built in."""
    copies = {at: read(at, layout.ENVIRONMENT_BYTES) for at in layout.ENVIRONMENT_OFFSETS}
    return [f"the environment at {at:#x}: {wrong}" for at, copy in copies.items() if (wrong := check_copy(copy))]


def check_copy(copy: bytes) -> str:
    """What is wrong with one copy of the environment, or an empty text."""
    if not any(copy):
        return ""
    stored, computed = int.from_bytes(copy[:4], "little"), zlib.crc32(copy[ENVIRONMENT_HEADER:])
    return "" if stored == computed else f"CRC {stored:#010x} (valid: {computed:#010x}, or a blank copy)"


def check_file_system(read: Read, partition: layout.Partition, label: str) -> list[str]:
    """What is wrong with the ext4 file system at the start of `partition`."""
    superblock = read(partition.offset + EXT4_SUPER, 1024)
    if int.from_bytes(superblock[56:58], "little") != EXT4_MAGIC:
        return [f"partition {partition.number} holds no ext4 file system"]
    found = []
    name = superblock[120:136].rstrip(b"\0").decode(errors="replace")
    if name != label:
        found.append(f"partition {partition.number} has the label {name!r} (valid: {label!r})")
    size = int.from_bytes(superblock[4:8], "little") << (10 + int.from_bytes(superblock[24:28], "little"))
    if size > partition.size:
        found.append(
            f"the file system in partition {partition.number} has {size} bytes (valid: up to {partition.size})"
        )
    return found


def check(image: Path) -> list[str]:
    """Everything that is wrong with a finished image; empty when nothing is."""
    if image.stat().st_size != layout.IMAGE_BYTES:
        return [f"{image.name} has {image.stat().st_size} bytes (valid: {layout.IMAGE_BYTES})"]
    with image.open("rb") as stream:
        read = reader(stream)
        entries = partitions(read(0, layout.SECTOR_BYTES))
        if not entries:
            return [f"{image.name} has no partition table"]
        found = check_table(entries)
        found += [w for e in entries if e.type == SPL_TYPE for w in check_boot(read, e.offset)]
        found += check_environment(read)
        found += check_file_system(read, layout.SLOT_A, "slot")
        found += check_file_system(read, layout.DATA, "data")
    return found
