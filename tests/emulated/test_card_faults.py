# SPDX-License-Identifier: MIT
"""Faults of the SD card, as U-Boot's prompt sees them; the power cut has a file of its own (test_power_cut.py).

U-Boot notices a CRC error of a DMA transfer because we patch it (docs/emulator.md, "Faults"). These tests look at the
data, too, and at the controller's status after a command that is given by hand (`status_of`); Linux is in
test_card_linux.py, and what U-Boot does about an error while it boots in test_card_boot.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import layout
from firmware.errors import TargetError, UserError
from firmware.faults import BLOCK_NS_MAX, FOR_GOOD, Card, flip_bit
from tests.emulated import boot_card
from tests.emulated.boot_card import Bare

pytestmark = pytest.mark.emulated

SECTOR = layout.SECTOR_BYTES
PLACE, COUNT = 0x7000, 0x20  # sectors of the card that these tests write
BUFFER, OTHER = 0x1000000, 0x2000000  # in memory
REGISTERS = 0xFF704000
BLKSIZ, BYTCNT, CMDARG, CMD, RESP0, RINTSTS, CDETECT, DBADDR = (
    REGISTERS + offset for offset in (0x1C, 0x20, 0x28, 0x2C, 0x30, 0x44, 0x50, 0x88)
)
ERASE_START, ERASE_END, ERASE = (0xA0002140 | number for number in (32, 33, 38))
READ_BLOCK, WRITE_BLOCK = 0xA0002340 | 17, 0xA0002740 | 24  # start, hold register, wait for data, check CRC, response
DATA_OVER, DATA_CRC, END_BIT = 0x08, 0x80, 0x8000
OUT_OF_RANGE = 1 << 31
DESCRIPTOR = (0x8000001C, SECTOR, OTHER, 0)  # owned by the controller, chained, first and last
DESCRIPTOR_AT = 0x3000000


@pytest.fixture(scope="module")
def powered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    folder = tmp_path_factory.mktemp("card")
    with boot_card.powered(boot_card.make(folder / "card.img"), folder) as board:
        yield board


@pytest.fixture
def board(powered: Bare) -> Iterator[Bare]:
    """The running board; the sectors under test hold 0x11, the card is healthy before and after."""
    assert not fill(powered, 0x11)
    yield powered
    powered.faults.card.heal()
    powered.prompt.run("mmc rescan")


def fill(board: Bare, value: int) -> int:
    """Write a byte to all sectors under test; the status of U-Boot's command."""
    board.prompt.run(f"mw.b {BUFFER:#x} {value:#x} {COUNT * SECTOR:#x}")
    return board.prompt.attempt(f"mmc write {BUFFER:#x} {PLACE:#x} {COUNT:#x}").status


def word(board: Bare, address: int) -> int:
    """A register, as U-Boot reads it."""
    return int(board.prompt.run(f"md.l {address:#x} 1").split()[1], 16)


def status_of(board: Bare, command: int, sector: int) -> int:
    """The controller's status after a single-block command, by DMA from or to OTHER."""
    words = [(DESCRIPTOR_AT + 4 * n, value) for n, value in enumerate(DESCRIPTOR)]
    words += [(DBADDR, DESCRIPTOR_AT), (RINTSTS, 0xFFFFFFFF), (BLKSIZ, SECTOR), (BYTCNT, SECTOR)]
    words += [(CMDARG, sector * SECTOR), (CMD, command)]  # a card of 16 MiB counts bytes
    for address, value in words:
        board.prompt.run(f"mw.l {address:#x} {value:#x}")
    return word(board, RINTSTS) & (DATA_OVER | DATA_CRC | END_BIT)


def on_card(board: Bare, sector: int = 0, count: int = COUNT) -> bytes:
    """What the card's file has, from `sector` of the place under test on."""
    with board.emulator.card.open("rb") as stream:
        stream.seek((PLACE + sector) * SECTOR)
        return stream.read(count * SECTOR)


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda card: card.cut_power_after(0),
        lambda card: card.cut_power_after(True),
        lambda card: card.cut_power_after(1.5),
        lambda card: card.read_error(-1),
        lambda card: card.read_error(card.sectors),
        lambda card: card.read_error(1, sectors=0),
        lambda card: card.read_error(1, sectors=card.sectors),
        lambda card: card.write_error(1, times=0),
        lambda card: card.worn(-1),
        lambda card: card.slow(-1),
        lambda card: card.slow(BLOCK_NS_MAX + 1),
        lambda card: card.flip(card.sectors * SECTOR),
        lambda card: card.flip(0, bit=8),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(board: Bare, nonsense: Callable[[Card], None]) -> None:
    names = ("power-cut-after", "read-error-times", "write-error-times", "write-limit", "block-ns")
    before = [board.faults.card.get(name) for name in names]
    with pytest.raises(UserError, match=r"valid: \d+ to \d+"):
        nonsense(board.faults.card)
    assert [board.faults.card.get(name) for name in names] == before == [0, 0, 0, FOR_GOOD, 0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("block-ns", BLOCK_NS_MAX + 1, "too slow"),
        ("flip", boot_card.CARD_BYTES * 8, "no bit"),
        ("writes", 1, "not writable"),
    ],
)
def test_emulator_refuses_what_the_client_lets_through(board: Bare, name: str, value: int, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        board.faults.card.set(name, value)


def test_read_error_is_a_crc_error_and_a_damaged_byte(board: Bare) -> None:
    board.faults.card.read_error(PLACE + 0x10, sectors=1, times=2)
    compare = f"cmp.b {BUFFER:#x} {OTHER:#x} {COUNT * SECTOR:#x}"
    assert board.prompt.attempt(f"mmc read {OTHER:#x} {PLACE:#x} {COUNT:#x}").status
    board.prompt.run("mmc rescan")  # the card is still in the middle of that command
    answer = board.prompt.attempt(compare)
    assert answer.status
    assert f"byte at {OTHER + 0x10 * SECTOR:#010x} (0x10)" in answer.output
    assert status_of(board, READ_BLOCK, PLACE + 0x10) == DATA_OVER | DATA_CRC
    board.prompt.run(f"mmc read {OTHER:#x} {PLACE:#x} {COUNT:#x}; {compare}")
    assert board.faults.card.get("read-error-times") == 0


def test_read_error_for_good_is_one_sector_only(board: Bare) -> None:
    board.faults.card.read_error(PLACE + 1, sectors=1)
    for sector, wrong in ((0, 0), (1, DATA_CRC), (1, DATA_CRC), (2, 0)):
        assert status_of(board, READ_BLOCK, PLACE + sector) == DATA_OVER | wrong


def test_write_error_leaves_the_sector_and_the_rest_of_the_command_as_they_were(board: Bare) -> None:
    board.faults.card.write_error(PLACE + 0x10, sectors=1, times=1)
    before = board.faults.card.writes
    assert fill(board, 0x22)
    board.prompt.run("mmc rescan")
    assert on_card(board) == bytes([0x22]) * 0x10 * SECTOR + bytes([0x11]) * 0x10 * SECTOR
    assert board.faults.card.writes - before == 0x10
    fill(board, 0x22)
    assert on_card(board) == bytes([0x22]) * COUNT * SECTOR


def test_write_error_of_a_single_sector(board: Bare) -> None:
    board.faults.card.write_error(PLACE, sectors=1)
    board.prompt.run(f"mw.b {OTHER:#x} 0x22 0x200")
    assert status_of(board, WRITE_BLOCK, PLACE) == DATA_OVER | DATA_CRC
    assert status_of(board, WRITE_BLOCK, PLACE + 1) == DATA_OVER
    assert on_card(board, 0, 3) == bytes([0x11]) * SECTOR + bytes([0x22]) * SECTOR + bytes([0x11]) * SECTOR


def test_erase_beyond_the_end_of_the_card_is_refused(board: Bare) -> None:
    for command, sector in ((ERASE_START, PLACE), (ERASE_END, boot_card.CARD_BYTES // SECTOR), (ERASE, 0)):
        board.prompt.run(f"mw.l {CMDARG:#x} {sector * SECTOR:#x}; mw.l {CMD:#x} {command:#x}")
    assert word(board, RESP0) & OUT_OF_RANGE
    assert on_card(board) == bytes([0x11]) * COUNT * SECTOR


def test_worn_card_takes_so_many_sectors_and_then_none(board: Bare) -> None:
    board.faults.card.worn(after=0x18)
    assert fill(board, 0x22)
    board.prompt.run("mmc rescan")
    assert on_card(board) == bytes([0x22]) * 0x18 * SECTOR + bytes([0x11]) * 8 * SECTOR
    assert status_of(board, WRITE_BLOCK, PLACE) == DATA_OVER | END_BIT
    assert board.prompt.attempt("saveenv").status
    assert on_card(board) == bytes([0x22]) * 0x18 * SECTOR + bytes([0x11]) * 8 * SECTOR
    board.prompt.run(f"mmc read {OTHER:#x} {PLACE:#x} {COUNT:#x}")
    board.faults.card.heal()
    board.prompt.run("saveenv")


def test_slow_card_takes_its_time_for_each_block(board: Bare) -> None:
    board.faults.card.slow(10_000_000)
    for command in ("read", "write"):
        started = time.monotonic()
        board.prompt.run(f"mmc {command} {BUFFER:#x} {PLACE:#x} {COUNT:#x}")
        assert time.monotonic() - started >= COUNT * 0.01
    assert on_card(board) == bytes([0x11]) * COUNT * SECTOR


def test_pulled_card_does_not_answer_and_works_when_it_is_back(board: Bare) -> None:
    read = f"mmc read {OTHER:#x} {PLACE:#x} {COUNT:#x}"
    board.faults.card.pull()
    assert word(board, CDETECT) == 1
    assert "ERROR" in board.prompt.attempt(read).output
    assert board.prompt.attempt("mmc rescan").status
    board.faults.card.put_back()
    assert word(board, CDETECT) == 0
    board.prompt.run("mmc rescan")
    board.prompt.run(f"{read}; cmp.b {BUFFER:#x} {OTHER:#x} {COUNT * SECTOR:#x}")


def test_flipped_bit_is_read_by_the_board(board: Bare) -> None:
    board.faults.card.flip((PLACE + 1) * SECTOR + 3, bit=7)
    board.prompt.run(f"mmc read {OTHER:#x} {PLACE + 1:#x} 1")
    assert word(board, OTHER) == 0x91111111
    board.faults.card.flip((PLACE + 1) * SECTOR + 3, bit=7)
    assert on_card(board, 1, 1) == bytes([0x11]) * SECTOR


def test_card_of_a_running_board_is_not_changed_behind_its_back(board: Bare) -> None:
    with pytest.raises(UserError, match="in use by another emulated board"):
        flip_bit(board.emulator.card, 0)


def test_faults_of_a_board_that_is_off(tmp_path: Path) -> None:
    with boot_card.powered(boot_card.make(tmp_path / "card.img"), tmp_path) as board:
        board.emulator.stop()
        with pytest.raises(TargetError, match="does not run"):
            board.faults.card.pull()
