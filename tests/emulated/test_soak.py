# SPDX-License-Identifier: MIT
"""Captures under faults, each word of them looked at: nothing wrong is delivered, and each loss is accounted for.

A short one always; 64 GiB in the slow tier (`./inv bench --only=capture_gib_with_faults` records its figures).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from firmware import fuzz, kernel_reports, program, soak
from firmware.errors import TargetError
from tests.emulated.conftest import Linux

pytestmark = pytest.mark.emulated

SEED = 20261124
COUNTER, PRBS31 = 0, 1
HONEST, HIDE_LOSS, INVENT_LOSS, FLIP_BIT = range(4)  # what soak.c may be told to falsify
INVENTED, LOST = 4096, 400_000
SHORT_MIB, LONG_MIB = 768, 64 << 10
SHORT_SECONDS, LONG_SECONDS = 600.0, 4 * 3600.0


@pytest.fixture(scope="module")
def board(linux: Linux) -> Iterator[Linux]:
    """The board, nobody on its capture device."""
    with fuzz.device(linux.target):
        yield linux


def check(board: Linux, mib: int, seconds: float) -> soak.Outcome:
    began = time.monotonic()
    found = soak.run(board.emulator, board.target, mib, SEED, seconds)
    print(f"{found} {found.delivered_bytes / soak.MIB / (time.monotonic() - began):.0f} MiB/s")
    assert (found.wrong_bytes, found.unaccounted_bytes, found.said) == (0, 0, "")
    assert found.delivered_bytes >= mib * soak.MIB
    assert found.sums["lost"] >= found.dropped_bytes > 0
    happened = (found.injected.lost_interrupts, found.injected.delayed_interrupts, found.injected.stalls)
    assert all(happened), found.injected
    assert found.sums["errors"]
    assert found.sums["shorts"]
    assert kernel_reports.reports(kernel_reports.log(board.target)) == []
    assert kernel_reports.taint(board.target) == []
    return found


def sums_with(board: Linux, pattern: int, lie: int) -> dict[str, int]:
    """The sums of a short capture that is another than it says."""
    path = program.install(board.target, program.build(program.PROGRAMS / "soak.c", program.UAPI))
    done = board.target.run([path, "64", "1", "40000000", "64", str(pattern), str(lie)], sudo=True)
    assert done.status == 1, done.stderr
    return soak.parse(done.stdout.splitlines()[-1])


def test_wrong_arguments_are_told(board: Linux) -> None:
    path = program.install(board.target, program.build(program.PROGRAMS / "soak.c", program.UAPI))
    done = board.target.run([path, "0", "1", "2", "3"], sudo=True)
    assert (done.status, done.stdout) == (soak.COULD_NOT_RUN, "")
    assert "usage: soak MIB SEED" in done.stderr


def test_wrong_data_are_noticed(board: Linux) -> None:
    """The program looks for the counter; the samples of another pattern are wrong, nearly all of them."""
    assert sums_with(board, PRBS31, HONEST)["wrong"] > 63 * soak.MIB


def test_one_wrong_bit_is_noticed(board: Linux) -> None:
    found = sums_with(board, COUNTER, FLIP_BIT)
    assert (found["wrong"], found["unaccounted"]) == (4, 0)  # a word


def test_loss_that_is_not_reported_is_unaccounted_to_the_byte(board: Linux) -> None:
    board.faults.source.drop(LOST)
    found = sums_with(board, COUNTER, HIDE_LOSS)
    assert (found["wrong"], found["unaccounted"]) == (0, LOST)


def test_loss_that_did_not_happen_is_unaccounted(board: Linux) -> None:
    found = sums_with(board, COUNTER, INVENT_LOSS)
    assert found["wrong"] == 0
    assert found["unaccounted"] >= INVENTED


def test_what_cannot_run_is_no_result(board: Linux) -> None:
    with pytest.raises(TargetError, match="status 2: usage: soak"):
        soak.run(board.emulator, board.target, 0, SEED, SHORT_SECONDS)


def test_every_byte_is_right_or_accounted_for(board: Linux) -> None:
    check(board, SHORT_MIB, SHORT_SECONDS)


@pytest.mark.slow
def test_64_gib_under_faults(board: Linux) -> None:
    found = check(board, LONG_MIB, LONG_SECONDS)
    assert found.sums["overwritten"]
    assert found.sums["recovered"]
