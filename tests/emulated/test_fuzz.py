# SPDX-License-Identifier: MIT
"""No access to a register, whatever its offset, width and value, ends the emulator (tests/emulated/fuzz.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware.errors import ToolError
from tests.emulated import fuzz

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)


def test_planted_overflow_is_found_with_its_place_and_the_last_accesses(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as error:
        fuzz.run(BOARD, tmp_path, seed=1, accesses=200_000, plant=True)
    said = str(error.value)
    assert "heap-buffer-overflow" in said
    assert "planted_read" in said
    assert "fuzz: seed 1, access " in said


def test_short_run_finds_nothing(tmp_path: Path) -> None:
    said = fuzz.run(BOARD, tmp_path, seed=1, accesses=300_000)
    assert said.startswith("fuzz: seed 1: 300000 accesses to ")


def test_one_seed_is_one_run(tmp_path: Path) -> None:
    first = fuzz.run(BOARD, tmp_path, seed=5, accesses=50_000)
    assert fuzz.run(BOARD, tmp_path, seed=5, accesses=50_000) == first
    assert fuzz.run(BOARD, tmp_path, seed=6, accesses=50_000) != first


@pytest.mark.slow
def test_ten_million_accesses_find_nothing(tmp_path: Path) -> None:
    said = fuzz.run(BOARD, tmp_path, seed=2026, accesses=10_000_000)
    assert "10000000 accesses" in said
