# SPDX-License-Identifier: MIT
"""Figures of `./inv bench` that are no seconds: guest instructions, and what the fuzzer finds on the debug kernel.

The figures of a group come out of one run of one emulated board, so their ratios hold.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware import cost, debug_board, fuzz, kernel_reports
from firmware.choice import Choice
from firmware.errors import TargetError

FUZZ_SEEDS, FUZZ_CALLS = range(1, 11), 100_000
FUZZ_SECONDS = 3600.0
PER_MIB, PER_BLOCK = "instructions/MiB", "instructions/block"


@dataclass(frozen=True)
class Figure:
    """A figure's unit, and how it is measured."""

    unit: str
    how: str


@dataclass(frozen=True)
class Group:
    """Figures that are measured together; `long`: only when one of them is named."""

    figures: dict[str, Figure]
    measure: Callable[[Choice], dict[str, float]]
    long: bool = False


def instructions(choice: Choice) -> dict[str, float]:
    """Guest instructions of a capture's ways to a TCP socket, and of the driver alone."""
    with cost.booted(choice.board) as (machine, target):
        meter = cost.Meter(machine, target)
        return {
            "insn_per_mib_read_send": meter.per_mib(cost.READ_SEND),
            "insn_per_mib_mmap_copy_send": meter.per_mib(cost.COPY_SEND),
            "insn_per_mib_mmap_send": meter.per_mib(cost.MMAP_SEND),
            "insn_per_mib_zerocopy": meter.per_mib(cost.ZEROCOPY),
            "insn_per_mib_forward_only": meter.per_mib(cost.FORWARD),
            "insn_per_mib_ring": meter.per_mib(cost.TAKE),
            "insn_per_block_overhead": meter.per_block(cost.BARE),
        }


def fuzzing(choice: Choice) -> dict[str, float]:
    """Calls that the fuzzer made on the debug kernel, and the reports and broken promises that came of them."""
    calls = found = 0
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
        debug_board.booted(choice.board, Path(folder)) as (_, target),
        fuzz.device(target),
    ):
        for seed in FUZZ_SEEDS:
            outcome = fuzz.run(target, seed, FUZZ_CALLS, threads=1 + seed % 4, timeout=FUZZ_SECONDS)
            calls, found = calls + outcome.calls, found + outcome.wrong
        found += len(kernel_reports.reports(kernel_reports.log(target))) + bool(kernel_reports.leaks(target))
        if kernel_reports.lockdep_is_off(target) and not found:
            raise TargetError(target.name, "lockdep has given up without a word: its tables are too small")
    return {"fuzz_calls": calls, "fuzz_reports": found}


GROUPS = (
    Group(
        {
            "insn_per_mib_read_send": Figure(PER_MIB, "a capture through read() and send() to a TCP socket (C)"),
            "insn_per_mib_mmap_copy_send": Figure(PER_MIB, "the same through the mapped ring, memcpy() and send()"),
            "insn_per_mib_mmap_send": Figure(PER_MIB, "the same through the mapped ring and send()"),
            "insn_per_mib_zerocopy": Figure(PER_MIB, "the same through the mapped ring and send(MSG_ZEROCOPY)"),
            "insn_per_mib_forward_only": Figure(PER_MIB, "the same, the driver leaving the caches alone"),
            "insn_per_mib_ring": Figure(PER_MIB, "a capture that nobody sends: DMA, caches, dequeue, enqueue"),
            "insn_per_block_overhead": Figure(
                PER_BLOCK, "the same without caches: interrupt, wake-up, dequeue, enqueue"
            ),
        },
        instructions,
    ),
    Group(
        {
            "fuzz_calls": Figure("calls", "random calls of the driver on the debug kernel"),
            "fuzz_reports": Figure("reports", "of the kernel's checkers, and promises broken, in these calls"),
        },
        fuzzing,
        long=True,
    ),
)
