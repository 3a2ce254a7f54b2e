# SPDX-License-Identifier: MIT
"""Figures of `./inv bench` that are no seconds: guest instructions, and what fuzzer and long captures find.

The figures of a group come out of one run of one emulated board, so their ratios hold.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware import cost, debug_board, fuzz, kernel_reports, reach, soak
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.known_hosts import KnownHosts
from firmware.manifest import load_built
from firmware.ssh import Target

FUZZ_SEEDS, FUZZ_CALLS = range(1, 11), 100_000
FUZZ_SECONDS = 3600.0
SOAK_MIB, SOAK_SEED, SOAK_SECONDS = 64 << 10, 20261124, 4 * 3600.0
PER_MIB, PER_BLOCK = "instructions/MiB", "instructions/block"


@dataclass(frozen=True)
class Figure:
    """A figure's unit, and how it is measured."""

    unit: str
    how: str


@dataclass(frozen=True)
class Group:
    """Figures that are measured together; `long`: only when one of them is named; `metal`: on a real board, too."""

    figures: dict[str, Figure]
    measure: Callable[[Choice], dict[str, float]]
    long: bool = False
    metal: bool = False


MIB_WAYS = {
    "insn_per_mib_read_send": cost.READ_SEND,
    "insn_per_mib_mmap_copy_send": cost.COPY_SEND,
    "insn_per_mib_mmap_send": cost.MMAP_SEND,
    "insn_per_mib_zerocopy": cost.ZEROCOPY,
    "insn_per_mib_forward_only": cost.FORWARD,
    "insn_per_mib_ring": cost.TAKE,
    "insn_per_mib_network": cost.NETWORK,
    "insn_per_mib_network_copy": cost.NETWORK_COPY,
}


def instructions(choice: Choice) -> dict[str, float]:
    """Guest instructions of a capture's ways to a TCP socket, and of the driver alone."""
    with cost.booted(choice.board) as (machine, target):
        meter = cost.Meter(machine, target)
        found = {name: meter.per_mib(way) for name, way in MIB_WAYS.items()}
        return found | ratios(found) | {"insn_per_block_overhead": meter.per_block(cost.BARE)}


def ratios(found: dict[str, float]) -> dict[str, float]:
    """How zero copy compares with read() and send(): as a whole, and each without what its kind of send costs alone."""
    read, forward = found["insn_per_mib_read_send"], found["insn_per_mib_forward_only"]
    return {
        "insn_ratio_zerocopy": found["insn_per_mib_zerocopy"] / read,
        "insn_ratio_forward_only": forward / read,
        "insn_ratio_forward_only_net": (forward - found["insn_per_mib_network"])
        / (read - found["insn_per_mib_network_copy"]),
    }


def fuzzing(choice: Choice) -> dict[str, float]:
    """Calls that the fuzzer made on the debug kernel, and the reports and broken promises that came of them."""
    calls = found = 0
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
        debug_board.booted(debug_board.small(choice.board), Path(folder)) as (_, target),
        fuzz.device(target),
    ):
        for seed in FUZZ_SEEDS:
            outcome = fuzz.run(target, seed, FUZZ_CALLS, threads=1 + seed % 4, timeout=FUZZ_SECONDS)
            calls, found = calls + outcome.calls, found + outcome.wrong
        found += len(kernel_reports.reports(kernel_reports.log(target))) + bool(kernel_reports.leaks(target))
        if kernel_reports.lockdep_is_off(target) and not found:
            raise TargetError(target.name, "lockdep has given up without a word: its tables are too small")
    return {"fuzz_calls": calls, "fuzz_reports": found}


@contextmanager
def _off_duty(choice: Choice) -> Iterator[tuple[Emulator, Target]]:
    """The board with the built image on a fresh card, on, and nobody on its capture device."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        known, path = KnownHosts(Path(name) / "known_hosts"), Path(name) / "card.img"
        reach.make_card(load_built(choice.board.name, choice.engine), path, known)
        with reach.powered(choice.board, path, Path(name)) as machine:
            target = Target(reach.LOOPBACK, machine.ssh_port, known=known)
            reach.wait_until_up(reach.Reach(target, (reach.LOOPBACK, machine.stream_port), machine.console_log))
            with target, fuzz.device(target):
                yield machine, target


def soaking(choice: Choice) -> dict[str, float]:
    """A long capture under faults."""
    with _off_duty(choice) as (machine, target):
        found = soak.run(machine, target, SOAK_MIB, SOAK_SEED, SOAK_SECONDS)
    print(f"  sums: {found.sums}\n  injected: {found.injected}, dropped {found.dropped_bytes} bytes")
    if found.said:
        print(f"  said: {found.said}")
    return {
        "capture_gib_with_faults": found.delivered_bytes / (1 << 30),
        "bytes_wrong": found.wrong_bytes,
        "bytes_unaccounted": found.unaccounted_bytes,
    }


GROUPS = (
    Group(
        {
            "insn_per_mib_read_send": Figure(PER_MIB, "a capture through read() and send() to a TCP socket (C)"),
            "insn_per_mib_mmap_copy_send": Figure(PER_MIB, "the same through the mapped ring, memcpy() and send()"),
            "insn_per_mib_mmap_send": Figure(PER_MIB, "the same through the mapped ring and send()"),
            "insn_per_mib_zerocopy": Figure(PER_MIB, "the same through the mapped ring and send(MSG_ZEROCOPY)"),
            "insn_per_mib_forward_only": Figure(PER_MIB, "the same, the driver leaving the caches alone"),
            "insn_per_mib_ring": Figure(PER_MIB, "a capture that nobody sends: DMA, caches, dequeue, enqueue"),
            "insn_per_mib_network": Figure(PER_MIB, "no capture: send(MSG_ZEROCOPY) of memory that stays as it is"),
            "insn_per_mib_network_copy": Figure(PER_MIB, "no capture: send() of memory that stays as it is"),
            "insn_ratio_zerocopy": Figure("", "insn_per_mib_zerocopy / insn_per_mib_read_send"),
            "insn_ratio_forward_only": Figure("", "insn_per_mib_forward_only / insn_per_mib_read_send"),
            "insn_ratio_forward_only_net": Figure("", "the same, each less insn_per_mib_network or _network_copy"),
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
    Group(
        {
            "capture_gib_with_faults": Figure(
                "GiB", "captured and looked at, word by word, while the hardware does wrong"
            ),
            "bytes_wrong": Figure("bytes", "delivered that are not the stream's next ones"),
            "bytes_unaccounted": Figure(
                "bytes", "between where the stream is and where delivered + lost say that it is"
            ),
        },
        soaking,
        long=True,
    ),
)
