# SPDX-License-Identifier: MIT
"""The verifier of the ramp: damage, drops, both at once, readers that join late (the other patterns: test_receiver)."""

from __future__ import annotations

import numpy as np
import pytest

from firmware import pattern
from firmware.errors import UserError

pytestmark = pytest.mark.unit

COUNT = 1024
PERIOD = 32768


def ramp(first: int, count: int = COUNT) -> pattern.Words:
    """Words `first` and following, made sample by sample."""
    samples = np.arange(2 * first, 2 * (first + count), dtype=np.uint64).astype(np.uint16)
    return samples.view("<u4").copy()


def checked(*blocks: tuple[pattern.Words, bool]) -> pattern.Checker:
    """A checker that has seen the blocks, each with its gap flag, from the stream's begin."""
    checker = pattern.checker("ramp")
    for place, (words, gap) in enumerate(blocks):
        checker.check(words.tobytes(), gap, place == 0)
    return checker


def test_unknown_pattern_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"unknown pattern 'saw' \(valid: counter, prbs31, ramp, none\)"):
        pattern.checker("saw")


@pytest.mark.parametrize("bit", range(32))
def test_any_flipped_bit_is_one_corrupt_word(bit: int) -> None:
    words = ramp(0)
    words[500] ^= np.uint32(1 << bit)
    assert checked((words, False), (ramp(COUNT), False)).corrupt == 1


def test_swapped_words_are_corrupt() -> None:
    words = ramp(0)
    words[[3, 4]] = words[[4, 3]]
    assert checked((words, False)).corrupt == 2


def test_part_of_a_word_is_corrupt() -> None:
    checker = pattern.checker("ramp")
    checker.check(ramp(0).tobytes() + b"\0\0", False, True)
    assert checker.corrupt == 1


def test_stream_that_does_not_begin_at_zero_is_corrupt_only_when_it_is_the_begin() -> None:
    assert checked((ramp(7), False)).corrupt == COUNT
    late = pattern.checker("ramp")
    late.check(ramp(7).tobytes(), False, False)
    late.check(ramp(7 + COUNT).tobytes(), False, False)
    assert (late.corrupt, late.missing_bytes) == (0, 0)


def test_drop_without_the_gap_flag_is_corrupt() -> None:
    assert checked((ramp(0), False), (ramp(COUNT + 5), False)).corrupt == COUNT


@pytest.mark.parametrize("lost", [1, 5, PERIOD - 1])
def test_drop_with_the_gap_flag_is_counted(lost: int) -> None:
    words = np.concatenate((ramp(COUNT, 100), ramp(COUNT + 100 + lost, COUNT - 100)))
    checker = checked((ramp(0), False), (words, True), (ramp(2 * COUNT + lost), False))
    assert (checker.corrupt, checker.missing_bytes) == (0, 4 * lost)


def test_damage_in_a_block_with_a_drop_is_not_a_drop() -> None:
    words = ramp(COUNT + 9)
    words[10] ^= np.uint32(0xFFFF0000)
    checker = checked((ramp(0), False), (words, True))
    assert (checker.corrupt, checker.missing_bytes) == (1, 36)


def test_block_of_nothing_but_damage_keeps_the_place() -> None:
    checker = checked((ramp(0), False), (np.zeros(COUNT, np.uint32), False), (ramp(2 * COUNT), False))
    assert (checker.corrupt, checker.missing_bytes) == (COUNT, 0)


def test_whole_ramp_several_times_over_is_clean() -> None:
    blocks = [(ramp(first), False) for first in range(0, 3 * PERIOD, COUNT)]
    checker = checked(*blocks)
    assert (checker.corrupt, checker.missing_bytes) == (0, 0)
