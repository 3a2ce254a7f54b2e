# SPDX-License-Identifier: MIT
"""Faults of the SD card that need no running board: options for power-on, and a card that is damaged by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.errors import UserError
from firmware.faults import FOR_GOOD, flip_bit, power_cut

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("sectors", [0, -1, FOR_GOOD, True, 1.0])
def test_power_cut_at_no_sector_is_refused(sectors: int) -> None:
    with pytest.raises(UserError, match="valid: 1 to"):
        power_cut(sectors)


def test_power_cut_from_power_on_is_two_properties() -> None:
    expected = {"cyclone5_sdmmc__power_cut_after": "5", "cyclone5_sdmmc__power_cut_torn": "on"}
    assert power_cut(5, torn=True) == expected


@pytest.mark.parametrize(("offset", "bit"), [(4, 0), (-1, 0), (0, 8), (0, -1)])
def test_bit_outside_the_card_is_refused(tmp_path: Path, offset: int, bit: int) -> None:
    card = tmp_path / "card.img"
    card.write_bytes(b"abcd")
    with pytest.raises(UserError, match="valid: 0 to"):
        flip_bit(card, offset, bit)
    assert card.read_bytes() == b"abcd"


def test_flipped_twice_a_bit_is_what_it_was(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    card.write_bytes(bytes(4))
    flip_bit(card, 2, bit=4)
    assert card.read_bytes() == b"\0\0\x10\0"
    flip_bit(card, 2, bit=4)
    assert card.read_bytes() == bytes(4)
