# SPDX-License-Identifier: MIT
"""A boot loader that is replaced on a card, cut at each kind of step: what the boot ROM and SPL then start.

The programme of the board writes to the card's file; the emulated board boots what is left of it. The new U-Boot has
another value of a variable compiled in, so its prompt tells which one it is.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import zlib
from pathlib import Path

import pytest

from firmware import boot_loader as built
from firmware import layout, paths, uboot
from tests.emulated import boot_card

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import boot_loader
from field_update.boot_loader import SECTOR, Loader

pytestmark = pytest.mark.emulated

OLD, NEW = b"\0bootdelay=1\0", b"\0bootdelay=2\0"
COPY_SECTORS = layout.SPL_BYTES // SECTOR + 1  # the first one is written twice


class PowerCut(Exception):
    """The power went."""


class CardFile(boot_loader.Medium):
    """The boot partition of a card that is a file, which takes `left` more sectors."""

    def __init__(self, card: Path, left: int = 1 << 30) -> None:
        """Open `card`."""
        super().__init__(str(card))
        self.left = left

    def read(self, offset: int, size: int) -> bytes:
        """Behind the partition's start."""
        return super().read(layout.BOOT.offset + offset, size)

    def write(self, offset: int, data: bytes) -> None:
        """Behind the partition's start, as far as the power lasts."""
        super().write(layout.BOOT.offset + offset, data[: self.left * SECTOR])
        self.left -= -(-len(data) // SECTOR)
        if self.left <= 0:
            raise PowerCut


def other(loader: Loader) -> Loader:
    """The loader with a U-Boot that has another countdown compiled in, and right CRCs."""
    data = loader.u_boot[64:]
    assert data.count(OLD) == 1
    data = data.replace(OLD, NEW)
    size = int.from_bytes(loader.u_boot[12:16], "big")
    head = bytearray(loader.u_boot[:64])
    head[24:28] = zlib.crc32(data[:size]).to_bytes(4, "big")
    head[4:8] = bytes(4)
    head[4:8] = zlib.crc32(head).to_bytes(4, "big")
    return loader._replace(u_boot=bytes(head) + data)


@pytest.fixture(scope="module")
def loaders() -> tuple[Loader, Loader]:
    """What the card has, and a new one."""
    found = boot_loader.carried(uboot.build(boot_card.BOARD) / built.LOADER)
    environment = "".join(f"card {at:#x} {layout.ENVIRONMENT_BYTES:#x}\n" for at in layout.ENVIRONMENT_OFFSETS)
    for loader in (found, other(found)):
        assert boot_loader.refusals(loader, layout.BOOT.size, layout.BOOT.offset, environment) == []
    return found, other(found)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boot_card.make(tmp_path_factory.mktemp("blank") / "card.img")


def delay(card: Path) -> str:
    """The countdown of the U-Boot that boots from `card`."""
    with boot_card.powered(card, card.parent) as board:
        return board.prompt.run("printenv bootdelay")


@pytest.mark.parametrize(
    ("copies", "sectors", "seen"),
    [
        (0, -500, "bootdelay=1"),  # in the middle of U-Boot
        (0, 1, "bootdelay=1"),  # copy 3 cleared
        (3, 0, "bootdelay=1"),  # copies 3, 2, 1 new
        (3, 1, "bootdelay=2"),  # copy 0 cleared: the boot ROM takes copy 1
        (3, 60, "bootdelay=2"),  # in the middle of copy 0
        (3, COPY_SECTORS - 1, "bootdelay=2"),  # all but the header of copy 0
        (4, 0, "bootdelay=2"),
    ],
)
def test_what_boots_after_a_cut_and_after_it_was_begun_again(
    blank: Path, loaders: tuple[Loader, Loader], tmp_path: Path, copies: int, sectors: int, seen: str
) -> None:
    card = Path(shutil.copyfile(blank, tmp_path / "card.img"))
    left = -(-len(loaders[1].u_boot) // SECTOR) + copies * COPY_SECTORS + sectors
    with contextlib.suppress(PowerCut):
        boot_loader.replace(CardFile(card, left), loaders[1], lambda _text: None)
    assert delay(card) == seen
    boot_loader.replace(CardFile(card), loaders[1], lambda _text: None)
    assert delay(card) == "bootdelay=2"


def test_second_new_one_boots_from_the_first_place_again(
    blank: Path, loaders: tuple[Loader, Loader], tmp_path: Path
) -> None:
    card = Path(shutil.copyfile(blank, tmp_path / "card.img"))
    assert delay(card) == "bootdelay=1"
    for loader in (loaders[1], loaders[0]):
        assert boot_loader.replace(CardFile(card), loader, lambda _text: None)
    assert delay(card) == "bootdelay=1"
    assert boot_loader.place_of(CardFile(card).read(0, layout.SPL_BYTES)) == 0
