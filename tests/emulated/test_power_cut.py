# SPDX-License-Identifier: MIT
"""The power is cut at exactly the n-th sector that is written: the card's file is compared byte for byte.

So is the card that the journal of an uncut run gives for the same cut (firmware/card_journal.py).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from firmware import card_journal, layout
from firmware.card_journal import Journal, PowerCut
from firmware.errors import TargetError
from firmware.faults import flip_bit, power_cut
from tests.emulated import boot_card
from tests.emulated.boot_card import Bare

pytestmark = pytest.mark.emulated

SECTOR = layout.SECTOR_BYTES
PLACE, COUNT = 0x7000, 0x100  # sectors that are empty on the card
BUFFER = 0x1000000
SOURCE = layout.BOOT.offset // SECTOR  # sectors whose content is dense: SPL
READ = f"mmc read {BUFFER:#x} {SOURCE:#x} {COUNT:#x}"
ENVIRONMENT_SECTORS = layout.ENVIRONMENT_BYTES // SECTOR
SECONDS = 10.0


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card whose environment has not been saved yet."""
    return boot_card.make(tmp_path_factory.mktemp("blank") / "card.img")


@pytest.fixture(scope="module")
def saved(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with both copies of the environment: the newer one says mark=second, the other one mark=first."""
    folder = tmp_path_factory.mktemp("saved")
    with boot_card.powered(copy(blank, folder), folder) as board:
        for mark in ("first", "second"):
            board.prompt.run(f"setenv mark {mark}")
            board.prompt.run("saveenv")
        assert board.faults.card.writes == 2 * ENVIRONMENT_SECTORS
    return folder / "card.img"


def copy(card: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return Path(shutil.copyfile(card, folder / "card.img"))


def run_until_cut(board: Bare, command: str) -> bytes:
    """The card's content after the power cut in the middle of `command`."""
    with pytest.raises(TargetError, match="QEMU has ended"):
        board.prompt.run(command)
    assert board.emulator.wait_off(SECONDS) == 0
    return board.emulator.card.read_bytes()


def expected(card: Path, new: bytes, sectors: int, torn: bool) -> bytes:
    """A card's content when of `new` only so many sectors got to their place."""
    content = bytearray(card.read_bytes())
    new = new[: sectors * SECTOR - torn * SECTOR // 2]
    content[PLACE * SECTOR : PLACE * SECTOR + len(new)] = new
    return bytes(content)


def dense(card: Path) -> bytes:
    return card.read_bytes()[SOURCE * SECTOR : (SOURCE + COUNT) * SECTOR]


@pytest.mark.parametrize(("sectors", "torn"), [(1, False), (1, True), (77, False), (78, True), (COUNT, True)])
def test_cut_in_a_multi_block_write(blank: Path, tmp_path: Path, sectors: int, torn: bool) -> None:
    with boot_card.powered(copy(blank, tmp_path), tmp_path) as board:
        board.prompt.run(READ)
        board.faults.card.cut_power_after(sectors, torn)
        content = run_until_cut(board, f"mmc write {BUFFER:#x} {PLACE:#x} {COUNT:#x}")
    assert content == expected(blank, dense(blank), sectors, torn)
    assert f"power cut {'in' if torn else 'behind'} sector {PLACE + sectors - 1}" in board.emulator.log.read_text()


@pytest.mark.parametrize("torn", [False, True])
def test_cut_in_single_block_writes(blank: Path, tmp_path: Path, torn: bool) -> None:
    writes = [f"mmc write {BUFFER + n * SECTOR:#x} {PLACE + n:#x} 1" for n in range(3)]
    with boot_card.powered(copy(blank, tmp_path), tmp_path) as board:
        board.prompt.run(READ)
        board.faults.card.cut_power_after(2, torn)
        content = run_until_cut(board, "; ".join(writes))
    assert content == expected(blank, dense(blank), 2, torn)


def test_cut_in_an_erase(blank: Path, tmp_path: Path) -> None:
    with boot_card.powered(copy(blank, tmp_path), tmp_path) as board:
        board.prompt.run("version")
        board.faults.card.cut_power_after(201, torn=True)
        content = run_until_cut(board, f"mmc erase {PLACE:#x} {COUNT:#x}")
    assert content == expected(blank, b"\xff" * COUNT * SECTOR, 201, True)


def test_one_sector_more_than_is_written_cuts_nothing(blank: Path, tmp_path: Path) -> None:
    with boot_card.powered(copy(blank, tmp_path), tmp_path) as board:
        board.prompt.run(READ)
        board.faults.card.cut_power_after(COUNT + 1)
        board.prompt.run(f"mmc write {BUFFER:#x} {PLACE:#x} {COUNT:#x}")
        assert board.faults.card.get("power-cut-after") == 1
        assert board.faults.card.writes == COUNT
        with pytest.raises(TargetError, match="still on"):
            board.emulator.wait_off(0)


@pytest.fixture(scope="module")
def uncut(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """The journal of a run that writes in every way; its card is beside it."""
    folder = tmp_path_factory.mktemp("uncut")
    with boot_card.powered(copy(blank, folder), folder, **card_journal.recorded(folder / "journal")) as board:
        board.prompt.run(READ)
        board.prompt.run(f"mmc write {BUFFER:#x} {PLACE:#x} {COUNT:#x}")
        board.prompt.run(f"mmc write {BUFFER:#x} {PLACE - 1:#x} 1")
        board.prompt.run(f"mmc erase {PLACE:#x} {COUNT // 2:#x}")
        board.prompt.run("saveenv")
        writes = board.faults.card.writes
    journal = Journal(folder / "journal")
    assert journal.sectors == writes == COUNT + 1 + COUNT // 2 + ENVIRONMENT_SECTORS
    return journal


def restored(journal: Journal, blank: Path, folder: Path, cut: PowerCut) -> bytes:
    card = copy(blank, folder)
    journal.restore(card, cut)
    return card.read_bytes()


def test_journal_gives_the_card_that_was_written(uncut: Journal, blank: Path, tmp_path: Path) -> None:
    whole = restored(uncut, blank, tmp_path, PowerCut(uncut.sectors))
    assert whole == (uncut.path.parent / "card.img").read_bytes() != blank.read_bytes()


@pytest.mark.parametrize(("sectors", "torn"), [(1, False), (1, True), (78, True), (COUNT, False)])
def test_journal_gives_the_card_that_a_power_cut_leaves(
    uncut: Journal, blank: Path, tmp_path: Path, sectors: int, torn: bool
) -> None:
    found = restored(uncut, blank, tmp_path, PowerCut(sectors, torn))
    assert found == expected(blank, dense(blank), sectors, torn)


def test_journal_tells_commands_apart(uncut: Journal) -> None:
    seen, at = [], 1
    while at <= uncut.sectors:
        first, last = uncut.command(at)
        seen.append(sum(piece.count for piece in uncut.pieces[first:last]))
        at = uncut.pieces[last - 1].end + 1
    erased = [1] * (COUNT // 2)  # U-Boot erases one by one
    assert seen == [COUNT, 1, *erased, ENVIRONMENT_SECTORS]


def test_journal_that_cannot_be_made_keeps_the_board_off(blank: Path, tmp_path: Path) -> None:
    options = card_journal.recorded(tmp_path / "no folder" / "journal")
    with (
        pytest.raises(TargetError, match="no folder"),
        boot_card.powered(copy(blank, tmp_path), tmp_path, **options),
    ):
        pass


def test_two_runs_that_are_cut_at_the_same_write_leave_the_same_card(saved: Path, tmp_path: Path) -> None:
    found = []
    for name in ("one", "another"):
        folder = tmp_path / name
        options = power_cut(ENVIRONMENT_SECTORS + 3, torn=True)  # from power-on on
        with boot_card.powered(copy(saved, folder), folder, **options) as board:
            board.prompt.run("setenv mark third; saveenv")
            found.append(run_until_cut(board, "setenv mark fourth; saveenv"))
    assert found[0] == found[1] != saved.read_bytes()


def test_cut_now_ends_at_once_and_frees_the_card(blank: Path, tmp_path: Path) -> None:
    with boot_card.powered(copy(blank, tmp_path), tmp_path) as board:
        board.faults.card.cut_power()
        assert board.emulator.wait_off(0) == 0
        with pytest.raises(TargetError, match="does not run"):
            board.faults.card.cut_power()
        board.emulator.start()
        board.prompt.enter()


@pytest.mark.parametrize(
    ("sectors", "torn", "mark"),
    [(1, True, "second"), (3, False, "second"), (3, True, "second"), (ENVIRONMENT_SECTORS, False, "third")],
)
def test_cut_while_the_environment_is_saved(saved: Path, tmp_path: Path, sectors: int, torn: bool, mark: str) -> None:
    with boot_card.powered(copy(saved, tmp_path), tmp_path) as board:
        board.prompt.run("setenv mark third")
        board.faults.card.cut_power_after(sectors, torn)
        run_until_cut(board, "saveenv")
    with boot_card.powered(tmp_path / "card.img", tmp_path) as board:
        assert board.prompt.run("printenv mark") == f"mark={mark}"
        board.prompt.run("saveenv")


@pytest.mark.parametrize(("damaged", "mark"), [((0,), "first"), ((1,), "second"), ((0, 1), None)])
def test_damaged_environment(saved: Path, tmp_path: Path, damaged: tuple[int, ...], mark: str | None) -> None:
    card = copy(saved, tmp_path)
    for number in damaged:
        flip_bit(card, layout.ENVIRONMENT_OFFSETS[number] + 1000, bit=5)
    with boot_card.powered(card, tmp_path) as board:
        answer = board.prompt.attempt("printenv mark")
        assert answer.output == (f"mark={mark}" if mark else '## Error: "mark" not defined')
        console = board.emulator.console_log.read_text()
        assert ("bad CRC, using default environment" in console) == (mark is None)
