# SPDX-License-Identifier: MIT
"""A million random calls under the kernel's checkers: no report, no broken promise, nothing pinned, nothing leaked.

A board of its own, with a small ring (`debug_board.small`): the device is opened anew thousands of times. Slow tier:
the debug kernel is compiled first; the calls take most of an hour. `./inv bench --only=fuzz_reports` records the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firmware import board as boards
from firmware import debug_board, fuzz, kernel_reports
from firmware.ssh import Target
from tests.emulated.checkers import quiet

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

CALLS, SEEDS = 100_000, range(1, 11)  # together a million
LEAK_KIB = 4096
SECONDS = 7200.0


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The board, what leaked at boot forgotten."""
    board = debug_board.small(boards.load(boards.DEFAULT_BOARD))
    with debug_board.booted(board, tmp_path_factory.mktemp("fuzz")) as (_, target):
        kernel_reports.forget_leaks(target)
        fuzz.run(target, 0, 2000, timeout=SECONDS)  # what is allocated once is there
        yield target


@pytest.fixture(scope="module")
def unaccounted_before(target: Target) -> int:
    return kernel_reports.unaccounted_kib(target)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls(target: Target, unaccounted_before: int, seed: int) -> None:
    found = fuzz.run(target, seed, CALLS, threads=1 + seed % 4, timeout=SECONDS)
    print(f"seed {seed}: {found.counts}")
    assert (found.calls, found.wrong, found.said) == (CALLS, 0, "")
    assert set(found.never_succeeded()) <= {"open"}  # a second one: succeeds only when there is no owner at the moment
    quiet(target)
    assert kernel_reports.unaccounted_kib(target) - unaccounted_before < LEAK_KIB


def test_nothing_leaked(target: Target) -> None:
    assert kernel_reports.leaks(target) == ""
