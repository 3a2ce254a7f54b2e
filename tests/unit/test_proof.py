# SPDX-License-Identifier: MIT
"""The proof: synthetic images, each damaged in one way, and what is said about it; a sound one passes."""

from __future__ import annotations

import bz2
import struct
from pathlib import Path

import pytest

from firmware import layout, proof

pytestmark = pytest.mark.unit

SPL_WORDS = 4096
HEADER = layout.BOOT.offset + proof.SPL_HEADER_OFFSET


def make_spl() -> bytes:
    """An SPL image of 16 KiB with a sound header and CRC, padded to one copy."""
    body = bytearray(bytes(range(256)) * 64)
    struct.pack_into("<IBBHH", body, 0x40, proof.SPL_VALIDATION, 0, 0, SPL_WORDS, 0)
    struct.pack_into("<H", body, 0x4A, sum(body[0x40:0x4A]) & 0xFFFF)
    struct.pack_into("<I", body, len(body) - 4, proof.crc32_bzip2(bytes(body[:-4])))
    return bytes(body).ljust(layout.SPL_BYTES, b"\0")


def make_superblock(label: str, size: int) -> bytes:
    """An ext4 superblock, as far as the proof looks at it."""
    block = bytearray(1024)
    struct.pack_into("<I", block, 4, size // 4096)
    struct.pack_into("<I", block, 24, 2)
    struct.pack_into("<H", block, 56, proof.EXT4_MAGIC)
    block[120:136] = label.encode().ljust(16, b"\0")
    return bytes(block)


def make_table(partitions: tuple[layout.Partition, ...] = layout.PARTITIONS) -> bytes:
    sector = bytearray(512)
    for index, part in enumerate(partitions):
        entry = struct.pack("<B3sB3sII", 0, b"", part.type, b"", part.offset // 512, part.size // 512)
        sector[446 + 16 * index : 462 + 16 * index] = entry
    sector[510:] = proof.MBR_SIGNATURE
    return bytes(sector)


def make_image(path: Path) -> Path:
    with path.open("wb") as stream:
        stream.truncate(layout.IMAGE_BYTES)
        stream.write(make_table())
        stream.seek(layout.BOOT.offset)
        stream.write(make_spl() * 4 + struct.pack(">I", 0x27051956))
        for part, label in ((layout.SLOT_A, "slot"), (layout.DATA, "data")):
            stream.seek(part.offset + 1024)
            stream.write(make_superblock(label, part.size))
    return path


def damage(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


def moved(index: int, **changes: int) -> bytes:
    """A partition table with one partition changed."""
    parts = list(layout.PARTITIONS)
    facts = {**vars(parts[index]), **changes}
    parts[index] = layout.Partition(**facts)
    return make_table(tuple(parts))


@pytest.mark.parametrize(
    ("offset", "content", "said"),
    [
        (510, b"\0\0", "has no partition table"),
        (0, moved(1, type=0xA2), "type 0xa2 is there 2 times"),
        (0, moved(0, type=0x83), "type 0xa2 is there 0 times"),
        (0, moved(3, size=32 << 20), "partition 4 is not as in the layout"),
        (0, moved(0, size=8 << 20), "partition 1 and environment at 0x800000 overlap"),
        (0, moved(2, offset=16 << 20), "partition 2 and partition 3 overlap"),
        (HEADER, b"XX01", "SPL copy 0: validation word 0x31305858"),
        (HEADER + 2 * 65536 + 4, b"\1", "SPL copy 2: header version 1"),
        (HEADER + 5, b"\1", "SPL copy 0: header checksum"),
        (layout.BOOT.offset + 3 * 65536 + 5000, b"\xff\xff", "SPL copy 3: image CRC"),
        (layout.BOOT.offset + 0x40000, b"\0", "no U-Boot image behind the SPL copies"),
        (layout.ENVIRONMENT_OFFSETS[1] + 77, b"\1", "the environment at 0x810000 is not blank"),
        (layout.SLOT_A.offset + 1024 + 56, b"\0\0", "partition 2 holds no ext4"),
        (layout.DATA.offset + 1024 + 120, b"other", "partition 4 has the label 'other'"),
        (layout.SLOT_A.offset + 1024 + 4, b"\xff\xff\xff\x7f", "file system in partition 2 has"),
    ],
)
def test_damage_is_found_and_said(tmp_path: Path, offset: int, content: bytes, said: str) -> None:
    image = make_image(tmp_path / "card.img")
    damage(image, offset, content)
    assert any(said in line for line in proof.check(image)), proof.check(image)


def test_spl_too_long_for_the_boot_rom_is_found() -> None:
    spl = bytearray(make_spl())
    struct.pack_into("<H", spl, 0x46, 0x4000)
    struct.pack_into("<H", spl, 0x4A, sum(spl[0x40:0x4A]) & 0xFFFF)
    assert proof.check_spl(bytes(spl)) == "image length 65536 (valid: up to 61440)"


def test_image_of_another_size_is_found(tmp_path: Path) -> None:
    image = make_image(tmp_path / "card.img")
    with image.open("r+b") as stream:
        stream.truncate(layout.IMAGE_BYTES - 512)
    assert "bytes (valid:" in proof.check(image)[0]


def test_sound_image_passes(tmp_path: Path) -> None:
    assert proof.check(make_image(tmp_path / "card.img")) == []


def test_crc_is_that_of_bzip2() -> None:
    content = b"samples" * 99
    packed = bz2.compress(content)
    assert proof.crc32_bzip2(content) == int.from_bytes(packed[10:14], "big")  # the block's CRC
