# SPDX-License-Identifier: MIT
"""The boot ROM of the emulated board: damaged preloader copies, warm resets, and a card that cannot be booted."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import emulator_build, layout, uboot
from firmware.emulator import Emulator
from firmware.errors import TargetError, UserError

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
CARD_BYTES = 16 * layout.MIB
SECONDS = 60.0
Starter = Callable[[Path], Emulator]


@pytest.fixture(scope="module")
def bootable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with an MBR and U-Boot, and nothing else."""
    path = tmp_path_factory.mktemp("card") / "card.img"
    entry = struct.pack("<8xII", layout.BOOT.offset // 512, layout.BOOT.size // 512)
    entry = entry[:4] + bytes([layout.BOOT.type]) + entry[5:]
    with path.open("wb") as stream:
        stream.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
        stream.seek(layout.BOOT.offset)
        stream.write((uboot.build(BOARD) / "u-boot-with-spl.sfp").read_bytes())
        stream.truncate(CARD_BYTES)
    return path


@pytest.fixture
def card(bootable: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(bootable, tmp_path / "card.img"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Power on with a card; off when the test ends."""
    started: list[Emulator] = []

    def power_on(path: Path) -> Emulator:
        machine = Emulator(BOARD, path, tmp_path / "run")
        started.append(machine)
        machine.start()
        return machine

    yield power_on
    for machine in started:
        machine.stop()


def damage(card: Path, copy: int, offset: int = 0x1000) -> None:
    """Flip all bits of one byte of a preloader copy."""
    with card.open("r+b") as stream:
        stream.seek(layout.BOOT.offset + copy * layout.SPL_BYTES + offset)
        byte = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte[0] ^ 0xFF]))


def test_four_damaged_copies_end_the_emulator_with_the_reason_of_each(card: Path, start: Starter) -> None:
    damage(card, 0)
    damage(card, 1, 0x40)
    damage(card, 2, 0x4A)
    damage(card, 3, 0x2000)
    with pytest.raises(TargetError) as error:
        start(card).wait_console("U-Boot SPL", SECONDS)
    said = "copy 0: wrong CRC; copy 1: no header; copy 2: wrong header checksum; copy 3: wrong CRC"
    assert said in str(error.value)


def test_card_without_a_boot_partition_says_so(card: Path, start: Starter) -> None:
    with card.open("r+b") as stream:
        stream.seek(446 + 4)
        stream.write(b"\x83")
    with pytest.raises(TargetError, match="no partition of type 0xA2"):
        start(card).wait_console("U-Boot SPL", SECONDS)


def test_damaged_first_copy_boots_from_the_second(card: Path, start: Starter) -> None:
    damage(card, 0)
    machine = start(card)
    machine.wait_console(r"U-Boot SPL \d+", SECONDS)
    machine.wait_console(r"U-Boot \d+", SECONDS)
    assert "preloader copy 0: wrong CRC" in machine.log.read_text()
    assert "started preloader copy 1" in machine.log.read_text()


def test_boots_to_u_boot_and_again_after_a_reset(card: Path, start: Starter) -> None:
    machine = start(card)
    machine.wait_console(r"U-Boot SPL \d+", SECONDS)
    machine.wait_console("FPGA:  Altera Cyclone V", SECONDS)
    machine.qmp("system_reset")
    machine.wait_console(r"U-Boot SPL \d+", SECONDS)
    machine.wait_console(r"DRAM:  1 GiB", SECONDS)


def test_second_emulator_on_the_same_card_is_refused(card: Path, start: Starter, tmp_path: Path) -> None:
    start(card)
    with pytest.raises(UserError, match="is in use by another emulated board"):
        Emulator(BOARD, card, tmp_path / "other").start()


def test_shared_object_is_built_once() -> None:
    assert emulator_build.build() == emulator_build.build()
