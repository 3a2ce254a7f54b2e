# SPDX-License-Identifier: MIT
"""The journal of a card: what is none, then the card behind each sector, torn, and with a command scattered."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import card_journal, layout
from firmware.card_journal import BEGINS, ERASED, RECORD, Journal, PowerCut
from firmware.errors import UserError
from firmware.layout import SECTOR_BYTES

pytestmark = pytest.mark.unit
SECTORS = 16  # of the card


def sector(mark: str) -> bytes:
    return mark.encode() * SECTOR_BYTES


def record(first: int, marks: str, flags: int = BEGINS) -> bytes:
    """A piece, one letter a sector; `x` is an erased one."""
    data = b"" if flags & ERASED else b"".join(map(sector, marks))
    return RECORD.pack(first, len(marks), flags) + data


# commands: one of two pieces, one that writes over it, an erase
TEXT = record(2, "ab") + record(4, "c", 0) + record(3, "d") + record(8, "xx", BEGINS | ERASED)
AFTER = [  # the card behind each sector that was written, from sector 2 on
    "a.......", "ab......", "abc.....", "adc.....", "adc...x.", "adc...xx",
]  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / "journal").write_bytes(TEXT)
    return Journal(tmp_path / "journal")


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "card").write_bytes(sector(".") * SECTORS)
    return tmp_path / "card"


def seen(card: Path) -> list[bytes]:
    """The card's sectors from 2 on."""
    content = card.read_bytes()
    assert len(content) == SECTORS * SECTOR_BYTES
    return [content[at : at + SECTOR_BYTES] for at in range(2 * SECTOR_BYTES, 10 * SECTOR_BYTES, SECTOR_BYTES)]


def whole(marks: str) -> list[bytes]:
    return [b"\xff" * SECTOR_BYTES if mark == "x" else sector(mark) for mark in marks]


@pytest.mark.parametrize(
    "text", [b"no journal of a card, but another file", RECORD.pack(2, 0, BEGINS), RECORD.pack(2, 1, 4)]
)
def test_file_that_is_no_journal(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "journal").write_bytes(text)
    with pytest.raises(UserError, match="no journal of a card"):
        Journal(tmp_path / "journal")


@pytest.mark.parametrize("sectors", [0, -1, 7])
def test_sector_that_was_not_written(journal: Journal, card: Path, sectors: int) -> None:
    with pytest.raises(UserError, match=rf"sector {sectors} of the journal .valid: 1 to 6"):
        journal.restore(card, PowerCut(sectors))
    assert seen(card) == whole("........")


def test_nothing_to_be_cut() -> None:
    with pytest.raises(UserError, match="nothing was written"):
        card_journal.at_share([], 0.5)


@pytest.mark.parametrize("missing", [1, SECTOR_BYTES, SECTOR_BYTES + RECORD.size - 1])
def test_last_piece_that_is_cut_short_has_not_been_written(tmp_path: Path, missing: int) -> None:
    (tmp_path / "journal").write_bytes((TEXT + record(12, "e"))[:-missing])
    assert Journal(tmp_path / "journal").sectors == 6


@pytest.mark.parametrize("sectors", range(1, 7))
def test_card_behind_each_sector(journal: Journal, card: Path, sectors: int) -> None:
    journal.restore(card, PowerCut(sectors))
    assert seen(card) == whole(AFTER[sectors - 1])


@pytest.mark.parametrize("sectors", range(1, 7))
def test_card_with_the_last_sector_torn(journal: Journal, card: Path, sectors: int) -> None:
    journal.restore(card, PowerCut(sectors, torn=True))
    before, behind = whole(AFTER[sectors - 2] if sectors > 1 else "........"), whole(AFTER[sectors - 1])
    half = SECTOR_BYTES // 2
    assert seen(card) == [new[:half] + old[half:] for old, new in zip(before, behind, strict=True)]


def test_commands(journal: Journal) -> None:
    assert [journal.command(sectors) for sectors in range(1, 7)] == [(0, 2), (0, 2), (0, 2), (2, 3), (3, 4), (3, 4)]


def test_scattered_sectors_are_those_of_the_command_under_way_alone(
    journal: Journal, card: Path, tmp_path: Path
) -> None:
    found = set()
    for chance in range(40):
        card.write_bytes(sector(".") * SECTORS)
        journal.restore(card, PowerCut(5, scattered=True, chance=chance))
        found.add(tuple(seen(card)))
    assert found == {tuple(whole("adc...x.")), tuple(whole("adc....x"))}, "and not: the erase before what it follows"


def test_scattered_command_of_three_lets_any_one_arrive_and_tears_another(journal: Journal, card: Path) -> None:
    arrived, torn = set(), set()
    for chance in range(80):
        card.write_bytes(sector(".") * SECTORS)
        journal.restore(card, PowerCut(1, torn=True, scattered=True, chance=chance))
        now = seen(card)
        arrived |= {at for at, mark in enumerate("abc") if now[at] == sector(mark)}
        halves = [sector(mark)[: SECTOR_BYTES // 2] + sector(".")[SECTOR_BYTES // 2 :] for mark in "abc"]
        torn |= {at for at in range(3) if now[at] == halves[at]}
        assert now.count(sector(".")) == 6
    assert arrived == torn == {0, 1, 2}


def test_same_chance_gives_the_same_card(journal: Journal, card: Path) -> None:
    journal.restore(card, PowerCut(2, scattered=True, chance=7))
    first = seen(card)
    card.write_bytes(sector(".") * SECTORS)
    journal.restore(card, PowerCut(2, scattered=True, chance=7))
    assert seen(card) == first


@pytest.mark.parametrize(("share", "sectors"), [(0.0, 4), (0.32, 4), (0.34, 5), (0.99, 6), (1.0, 6)])
def test_share_of_some_pieces(journal: Journal, share: float, sectors: int) -> None:
    assert card_journal.at_share(journal.between(3, 6), share) == sectors


def test_between_takes_whole_pieces(journal: Journal) -> None:
    assert [piece.sector for piece in journal.between(2, 5)] == [4, 3]


def test_pieces_outside_a_partition(journal: Journal) -> None:
    place = layout.Partition(2, "A", 0x83, 4 * SECTOR_BYTES, SECTOR_BYTES)
    assert [piece.sector for piece in journal.pieces if piece.touches(place)] == [4]
