# SPDX-License-Identifier: MIT
"""The image: made by real genimage from small parts, as the layout says, and the proof refuses wrong parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from firmware import board, image, layout, render, verification
from firmware.errors import ToolError
from tests.unit.sound_image import make_slot, make_uboot_with_spl

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("genimage") is None, reason="no genimage on this host"),
    pytest.mark.skipif(shutil.which("bmaptool") is None, reason="no bmap-tools on this host"),
]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    uboot, rootfs = tmp_path / "uboot", tmp_path / "rootfs"
    uboot.mkdir()
    rootfs.mkdir()
    (uboot / "u-boot-with-spl.sfp").write_bytes(make_uboot_with_spl())
    make_slot(rootfs / "rootfs.ext4", tmp_path)
    return uboot, rootfs


def test_u_boot_that_the_boot_rom_would_refuse_makes_no_image(parts: tuple[Path, Path]) -> None:
    uboot, rootfs = parts
    (uboot / "u-boot-with-spl.sfp").write_bytes(bytes(layout.SPL_BYTES * 5))
    with pytest.raises(ToolError, match=r"SPL copy 0: validation word(.|\n)*would not boot"):
        image.build(board.load("sockit"), uboot, rootfs, 1_700_000_000)


def test_u_boot_that_does_not_fit_makes_no_image(parts: tuple[Path, Path]) -> None:
    uboot, rootfs = parts
    with (uboot / "u-boot-with-spl.sfp").open("r+b") as stream:
        stream.truncate(layout.BOOT.size + 512)
    with pytest.raises(ToolError, match="too small"):
        image.build(board.load("sockit"), uboot, rootfs, 1_700_000_000)


def test_slot_without_what_the_boot_script_loads_makes_no_image(parts: tuple[Path, Path], tmp_path: Path) -> None:
    make_slot(parts[1] / "rootfs.ext4", tmp_path, {"/boot/board.dtb": None})
    with pytest.raises(ToolError, match=r"/boot/board.dtb is not in slot A(.|\n)*would not boot"):
        image.build(board.load("sockit"), *parts, 1_700_000_000)


def test_image_is_proven_and_sparse(parts: tuple[Path, Path]) -> None:
    made = image.build(board.load("sockit"), *parts, 1_700_000_000)
    assert not any(finding.wrong for finding in verification.examine(made / "sockit.img"))
    assert (made / "sockit.img").stat().st_blocks * 512 < 64 << 20
    assert "<BlocksCount>" in (made / "sockit.img.bmap").read_text()
    assert not (made / "sockit.img").stat().st_mode & 0o222, "nobody writes into the cache by accident"


def test_data_file_system_is_twice_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        image.make_data(tmp_path / name, "seed", 1_700_000_000)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", board.names())
def test_configuration_names_every_partition_once(name: str) -> None:
    text = render.text(image.TEMPLATE, board.load(name), disk_signature=1)
    for partition in layout.PARTITIONS:
        assert text.count(f"partition {partition.name} {{") == 1
        assert f"offset = {partition.offset}\n" in text
