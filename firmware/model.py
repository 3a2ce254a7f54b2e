# SPDX-License-Identifier: MIT
"""A model: from guest instructions to the MB/s that an 800 MHz Cortex-A9 may be expected to reach, as a range.

Emulation counts instructions and knows neither caches nor memory. So a way out of the ring takes, for each MiB,

    instructions x CPI / clock  +  copies / copy rate  +  passes of the outer cache x lines x cycles / clock

each with a low and a high assumption (docs/performance.md has their sources), capped by what gigabit Ethernet carries.
It orders the ways and shows what each is limited by; a board's own figures replace it (`./inv bench --host`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CLOCK_HZ = 800e6
LINES_PER_MIB = (1 << 20) // 32  # the A9's cache line
CPI = (1.2, 2.2)  # cycles an instruction, kernel code that mostly hits its caches
COPY_MIB_PER_S = (472.0, 300.0)  # libc's memcpy measured on a 666 MHz Zynq: 393, scaled by the clock; and less
OUTER_CYCLES = (10.0, 40.0)  # a write to the L2C-310 for each line
WIRE_MB_PER_S = 117.6  # TCP's payload in 1500-byte frames of a gigabit Ethernet


@dataclass(frozen=True)
class Way:
    """A way out of the ring: the `figure` of its instructions a MiB, CPU copies, passes over its lines in the L2."""

    title: str
    figure: str
    copies: int
    outer_passes: int


# The ring is invalidated before and after a DMA, what is sent is cleaned once; half of each works on the L2.
WAYS = (
    Way("read() and send()", "insn_per_mib_read_send", 2, 3),
    Way("mmap and send()", "insn_per_mib_mmap_send", 1, 3),
    Way("mmap and MSG_ZEROCOPY", "insn_per_mib_zerocopy", 0, 3),
    Way("the same, forward-only", "insn_per_mib_forward_only", 0, 1),
)


@dataclass(frozen=True)
class Expected:
    """MB/s (10^6 bytes a second) of one core, from the worst to the best assumption; `milliseconds` a MiB, alike."""

    way: Way
    slowest: float
    fastest: float
    milliseconds: tuple[float, float]


def seconds_per_mib(instructions: float, way: Way) -> tuple[float, float]:
    """Seconds that a MiB costs one core: best and worst assumption."""
    best, worst = (
        instructions * CPI[n] / CLOCK_HZ
        + way.copies / COPY_MIB_PER_S[n]
        + way.outer_passes * LINES_PER_MIB * OUTER_CYCLES[n] / CLOCK_HZ
        for n in (0, 1)
    )
    return best, worst


def expect(figures: Mapping[str, float]) -> list[Expected]:
    """What the measured `figures` (name -> instructions a MiB) let expect; a way without a figure is left out."""
    found = []
    for way in WAYS:
        if way.figure in figures:
            best, worst = seconds_per_mib(figures[way.figure], way)
            rates = [min(WIRE_MB_PER_S, (1 << 20) / 1e6 / seconds) for seconds in (worst, best)]
            found.append(Expected(way, rates[0], rates[1], (best * 1e3, worst * 1e3)))
    return found
