# SPDX-License-Identifier: MIT
"""The proof: synthetic images, each damaged in one way, and what is said about it; a sound one passes."""

from __future__ import annotations

import bz2
import struct
import zlib
from pathlib import Path

import pytest

from firmware import layout, proof, uboot_image

pytestmark = pytest.mark.unit

SPL_WORDS = 4096
UBOOT = layout.BOOT.offset + layout.U_BOOT_OFFSET
HEADER = layout.BOOT.offset + proof.SPL_HEADER_OFFSET


def make_spl() -> bytes:
    """An SPL image of 16 KiB with a sound header and CRC, padded to one copy."""
    body = bytearray(bytes(range(256)) * 64)
    struct.pack_into("<IBBHH", body, 0x40, proof.SPL_VALIDATION, 0, 0, SPL_WORDS, 0)
    struct.pack_into("<H", body, 0x4A, sum(body[0x40:0x4A]) & 0xFFFF)
    struct.pack_into("<I", body, len(body) - 4, proof.crc32_bzip2(bytes(body[:-4])))
    return bytes(body).ljust(layout.SPL_BYTES, b"\0")


def make_uboot(environment: str = "bootcmd=run try_slots\0BOOT_ORDER=A B\0\0") -> bytes:
    """A legacy U-Boot image with sound CRCs that holds `environment`."""
    data = b"code" * 64 + b"\0" + environment.encode()
    facts = [uboot_image.LEGACY_MAGIC, 0, 0, len(data), 0, 0, zlib.crc32(data), 17, 2, 5, 0, b"U-Boot"]
    facts[1] = zlib.crc32(uboot_image.HEADER.pack(*facts))
    return uboot_image.HEADER.pack(*facts) + data


def make_environment(text: bytes = b"BOOT_ORDER=B A\0\0") -> bytes:
    """A copy of the environment as U-Boot saves it."""
    data = text.ljust(layout.ENVIRONMENT_BYTES - proof.ENVIRONMENT_HEADER, b"\0")
    return struct.pack("<IB", zlib.crc32(data), 1) + data


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
        stream.write(make_spl() * 4 + make_uboot())
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
        (0, moved(2, size=256 << 20), "the slots differ in size: {2: 536870912, 3: 268435456}"),
        (UBOOT, b"\0", "U-Boot, 0x40000 behind the SPL copies' start, where SPL looks: no image: 0x00051956"),
        (UBOOT + 5, b"\0", "where SPL looks: header CRC"),
        (UBOOT + 100, b"x", "where SPL looks: data CRC"),
        (layout.ENVIRONMENT_OFFSETS[1] + 77, b"\1", "the environment at 0x810000: CRC 0x00000000 (valid: "),
        (layout.ENVIRONMENT_OFFSETS[0], b"\1" + make_environment()[1:], "the environment at 0x800000: CRC"),
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


def test_u_boot_that_is_longer_than_its_partition_is_found() -> None:
    made = make_uboot()
    size = len(made) - uboot_image.HEADER.size
    assert uboot_image.check(made[:-1]) == [f"image of {size} bytes (valid: up to {size - 1}, the partition's end)"]
    tree = struct.pack(">II", uboot_image.FIT_MAGIC, 100)
    assert uboot_image.check(tree) == ["tree of 100 bytes (valid: up to 8)"]
    assert uboot_image.check(tree.ljust(100)) == []


def test_saved_environment_is_sound(tmp_path: Path) -> None:
    image = make_image(tmp_path / "card.img")
    damage(image, layout.ENVIRONMENT_OFFSETS[1], make_environment())
    assert proof.check(image) == []


def test_sound_image_passes(tmp_path: Path) -> None:
    assert proof.check(make_image(tmp_path / "card.img")) == []


def test_crc_is_that_of_bzip2() -> None:
    content = b"samples" * 99
    packed = bz2.compress(content)
    assert proof.crc32_bzip2(content) == int.from_bytes(packed[10:14], "big")  # the block's CRC
