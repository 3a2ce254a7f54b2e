# SPDX-License-Identifier: MIT
"""The boot ROM of the emulated board: where it looks, damaged preloader copies, resets, cards that it cannot boot."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import emulator_build, layout, uboot
from firmware.emulator import Emulator
from firmware.errors import TargetError, UserError
from firmware.faults import flip_bit
from tests.emulated import boot_card
from tests.emulated.boot_card import BOARD
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

SECONDS = 60.0
Starter = Callable[..., Emulator]
RESET_STATUS, RESET_CONTROL = 0xFFD05000, 0xFFD05004
COLD, WARM = 1, 2  # bits of RESET_CONTROL
STATUS_COLD, STATUS_WARM = 1 << 4, 1 << 10
SOFTWARE_STATE, LAST_LOADED = 0xFFD080C8, 0xFFD080CC
SOFTWARE_VALID = 0x49535756
WARM_RAM, WARM_START, WARM_LENGTH, WARM_CRC = 0xFFD080E0, 0xFFD080E4, 0xFFD080E8, 0xFFD080F0


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return boot_card.make(tmp_path / "card.img")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Power on with a card; off when the test ends."""
    started: list[Emulator] = []

    def power_on(path: Path, **options: str) -> Emulator:
        machine = Emulator(BOARD, path, tmp_path / "run", **options)
        started.append(machine)
        machine.start()
        return machine

    yield power_on
    for machine in started:
        machine.stop()


def damage(card: Path, copy: int, offset: int = 0x1000) -> None:
    """Flip a bit of a preloader copy."""
    flip_bit(card, layout.BOOT.offset + copy * layout.SPL_BYTES + offset, bit=copy)


def rewrite(card: Path, offset: int, content: bytes) -> None:
    with card.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


def word(prompt: Prompt, address: int) -> int:
    return int(prompt.run(f"md.l {address:#x} 1").split()[1], 16)


def loaded(machine: Emulator) -> list[str]:
    """What the boot ROM has reported, without QEMU's own words."""
    return [line.partition("boot ROM: ")[2] for line in machine.log.read_text().splitlines() if "boot ROM: " in line]


def refused(machine: Emulator) -> str:
    """What the boot ROM reports when it gives up."""
    assert machine.wait_off(SECONDS) == 1
    return loaded(machine)[-1]


def start_and_fail(start: Starter, card: Path, **options: str) -> str:
    with pytest.raises(TargetError) as error:
        start(card, **options).wait_console("U-Boot SPL", SECONDS)
    return str(error.value)


def test_four_damaged_copies_end_the_emulator_with_the_reason_of_each(card: Path, start: Starter) -> None:
    damage(card, 0)
    damage(card, 1, 0x40)
    damage(card, 2, 0x4A)
    damage(card, 3, 0x2000)
    said = "copy 0: wrong CRC; copy 1: no header; copy 2: wrong header checksum; copy 3: wrong CRC"
    assert said in start_and_fail(start, card)


def test_preloader_of_more_than_60_kib_is_refused(card: Path, start: Starter) -> None:
    for copy in range(layout.SPL_COPIES):
        place = layout.BOOT.offset + copy * layout.SPL_BYTES + 0x40
        header = card.read_bytes()[place : place + 6] + struct.pack("<H", (60 * layout.KIB + 4) // 4) + bytes(2)
        rewrite(card, place, header + struct.pack("<H", sum(header)))
    said = start_and_fail(start, card)
    assert "; ".join(f"copy {copy}: length out of range" for copy in range(layout.SPL_COPIES)) in said


def test_card_without_a_boot_partition_says_so(card: Path, start: Starter) -> None:
    """TRM "SD/MMC Flash Devices": raw mode is for a card without an MBR signature only."""
    rewrite(card, 446 + 4, b"\x83")
    assert "no partition of type 0xA2" in start_and_fail(start, card)


def test_without_an_mbr_signature_the_copies_are_looked_for_at_the_start_of_the_card(
    card: Path, start: Starter
) -> None:
    rewrite(card, 510, b"\0\0")
    assert "no good preloader at 0x0: copy 0: no header" in start_and_fail(start, card)


def test_card_that_cannot_be_read_or_is_not_there(card: Path, start: Starter) -> None:
    assert "there is no SD card, or it cannot be read" in start_and_fail(start, card, cyclone5_sdmmc__pulled="on")
    bad = {"cyclone5_sdmmc__read_error_times": "1"}  # sector 0, as nothing else is said
    assert "there is no SD card, or it cannot be read" in start_and_fail(start, card, **bad)


def test_raw_card_starts_its_preloader(card: Path, start: Starter) -> None:
    """SPL itself then looks for a partition, in vain: U-Boot on a raw card is not what this product does."""
    preloaders = (uboot.build(BOARD) / uboot.IMAGE).read_bytes()[: layout.U_BOOT_OFFSET]
    assert preloaders[510:512] != b"\x55\xaa"
    rewrite(card, 0, preloaders)
    flip_bit(card, 0x1000)
    machine = start(card)
    machine.wait_console(r"U-Boot SPL \d+", SECONDS)
    assert loaded(machine)[:2] == ["preloader copy 0: wrong CRC", "started preloader copy 1"]


def test_boot_partition_may_be_the_fourth(card: Path, start: Starter) -> None:
    first = card.read_bytes()[446:462]
    rewrite(card, 446, struct.pack("<4xB3xII", 0x83, 2048, 2048).ljust(48, b"\0") + first)
    machine = start(card)
    machine.wait_console(r"U-Boot \d+", SECONDS)
    assert loaded(machine) == ["started preloader copy 0"]


@pytest.mark.parametrize("good", [0, 1, 2, 3])
def test_first_good_copy_is_booted_and_its_number_is_in_the_system_manager(
    card: Path, start: Starter, good: int
) -> None:
    for copy in range(good):
        damage(card, copy)
    machine = start(card)
    assert word(Prompt(machine), LAST_LOADED) == good
    expected = [f"preloader copy {copy}: wrong CRC" for copy in range(good)]
    assert loaded(machine) == [*expected, f"started preloader copy {good}"]


def test_copy_that_cannot_be_read_is_passed_over(card: Path, start: Starter) -> None:
    sector = layout.BOOT.offset // 512 + 50
    names = {"first": sector, "last": sector, "times": 1}
    machine = start(card, **{f"cyclone5_sdmmc__read_error_{name}": str(value) for name, value in names.items()})
    machine.wait_console(r"U-Boot SPL \d+", SECONDS)
    assert loaded(machine) == ["preloader copy 0: cannot be read", "started preloader copy 1"]


def test_warm_reset_runs_the_on_chip_ram_and_a_cold_one_the_first_copy(card: Path, start: Starter) -> None:
    damage(card, 0)
    machine = start(card)
    prompt = Prompt(machine)
    prompt.run("mw.l 0xffd05000 0xffffffff")
    prompt.send(f"mw.l {RESET_CONTROL:#x} {WARM}", r"U-Boot SPL \d+")
    prompt.enter()
    assert word(prompt, RESET_STATUS) & (STATUS_COLD | STATUS_WARM) == STATUS_WARM
    assert word(prompt, LAST_LOADED) == 1
    assert loaded(machine)[2:] == ["warm reset, running what is in the on-chip RAM"]
    prompt.send(f"mw.l {RESET_CONTROL:#x} {COLD}", r"U-Boot SPL \d+")
    prompt.enter()
    assert word(prompt, RESET_STATUS) & (STATUS_COLD | STATUS_WARM) == STATUS_COLD
    assert loaded(machine)[3:] == ["preloader copy 0: wrong CRC", "started preloader copy 1"]


def crc(data: bytes) -> int:
    """CRC-32 with the most significant bit first, as the boot ROM has it."""
    found = 0xFFFFFFFF
    for byte in data:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ (0x04C11DB7 if found >> 31 else 0)) & 0xFFFFFFFF
    return found ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("error", "said"),
    [(1, "started preloader copy 0"), (0, "warm reset, running what is in the on-chip RAM")],
)
def test_warm_reset_checks_the_crc_of_the_on_chip_ram(card: Path, start: Starter, error: int, said: str) -> None:
    machine = start(card)
    prompt = Prompt(machine)
    right = crc(struct.pack("<I", word(prompt, 0xFFFF0100)))
    words = ((WARM_START, 0x100), (WARM_LENGTH, 4), (WARM_CRC, right ^ error), (SOFTWARE_STATE, SOFTWARE_VALID))
    for register, value in words:
        prompt.run(f"mw.l {register:#x} {value:#x}")
    prompt.send(f"mw.l {RESET_CONTROL:#x} {WARM}", r"U-Boot SPL \d+")
    assert loaded(machine)[1:] == [said]


def test_warm_reset_without_the_on_chip_ram_takes_the_same_copy_when_its_software_is_valid(
    card: Path, start: Starter
) -> None:
    damage(card, 0)
    machine = start(card)
    prompt = Prompt(machine)
    for _ in range(2):
        prompt.run(f"mw.l {WARM_RAM:#x} 0; mw.l {SOFTWARE_STATE:#x} {SOFTWARE_VALID:#x}")
        prompt.send(f"mw.l {RESET_CONTROL:#x} {WARM}", r"U-Boot SPL \d+")
        prompt.enter()
        assert word(prompt, LAST_LOADED) == 1
    assert loaded(machine)[1:] == ["started preloader copy 1"] * 3


def test_preloader_that_never_becomes_valid_is_given_up_for_the_next(card: Path, start: Starter) -> None:
    machine = start(card)
    prompt = Prompt(machine)
    for copy in range(1, layout.SPL_COPIES):
        prompt.run(f"mw.l {WARM_RAM:#x} 0")
        prompt.send(f"mw.l {RESET_CONTROL:#x} {WARM}", r"U-Boot SPL \d+")
        prompt.enter()
        assert word(prompt, LAST_LOADED) == copy
    with pytest.raises(TargetError, match="QEMU has ended"):
        prompt.send(f"mw.l {WARM_RAM:#x} 0; mw.l {RESET_CONTROL:#x} {WARM}", r"U-Boot SPL \d+")
    assert refused(machine).endswith("copy 0: given up; copy 1: given up; copy 2: given up; copy 3: given up")


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
