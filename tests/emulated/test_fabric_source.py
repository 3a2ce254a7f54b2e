# SPDX-License-Identifier: MIT
"""The capture source, register by register: patterns, rates, frames, and what is lost when nobody takes the samples."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import pattern
from firmware.board import BRIDGE_BASE
from tests.emulated import fabric_registers as fabric
from tests.emulated import qtest
from tests.emulated.fabric_registers import MEMORY, SECOND, Dma, Generator, duration

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
SOURCE = BRIDGE_BASE + BOARD.fabric.source.offset
FIFO = 256 << 10
MIB = 1 << 20


def verified(machine: qtest.Machine, name: str, *blocks: tuple[int, int, bool]) -> pattern.Checker:
    """A checker of pattern `name` that has seen the blocks: address, bytes, gap flag."""
    checker = pattern.checker(name)
    for place, (address, count, gap) in enumerate(blocks):
        checker.check(machine.read(address, count), gap, place == 0)
    return checker


# ---- what goes wrong ----


@pytest.mark.parametrize("value", [3, 4, 0xFFFFFFFF])
def test_unknown_pattern_is_ignored(machine: qtest.Machine, value: int) -> None:
    machine.writel(SOURCE + 8, fabric.RAMP)
    machine.writel(SOURCE + 8, value)
    assert machine.readl(SOURCE + 8) == fabric.RAMP


def test_clear_and_frame_length_are_ignored_while_it_runs(machine: qtest.Machine, source: Generator) -> None:
    source.start(rate=1_000_000, frame=400)
    machine.clock_step(SECOND // 1000)
    machine.writel(SOURCE, 3)
    machine.writel(SOURCE + 0x28, 800)
    assert (source.produced, machine.readl(SOURCE + 0x28)) == (1000, 400)
    machine.writel(SOURCE, 2)
    machine.writel(SOURCE, 2)
    assert source.produced == 0


def test_frame_length_is_cut_to_words(machine: qtest.Machine) -> None:
    machine.writel(SOURCE + 0x28, 1003)
    assert machine.readl(SOURCE + 0x28) == 1000


def test_read_only_registers_keep_their_values(machine: qtest.Machine, source: Generator) -> None:
    for offset in (0x4, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x2C, 0x3C):
        machine.writel(SOURCE + offset, 0xFFFFFFFF)
    assert (source.fifo, source.lost, source.produced) == ((FIFO, 0), 0, 0)
    assert not source.overflowed


# ---- overflow ----


def test_without_a_dma_the_fifo_fills_and_then_overflows(machine: qtest.Machine, source: Generator) -> None:
    source.start(rate=1 << 20)
    machine.clock_step(SECOND // 4)
    assert source.fifo == (FIFO, FIFO)
    assert (source.lost, source.overflowed) == (0, False)
    machine.clock_step(SECOND * 3 // 4)
    assert source.fifo == (FIFO, FIFO)
    assert (source.produced, source.lost, source.overflowed) == (1 << 20, (1 << 20) - FIFO, True)


def test_depth_of_the_fifo_is_a_property(tmp_path: Path) -> None:
    with qtest.powered(BOARD, tmp_path, cyclone5_source__fifo_bytes="4096") as machine:
        source = Generator(machine, BOARD.fabric.source)
        source.start(rate=4_000_000)
        machine.clock_step(SECOND // 1000)
        assert (source.fifo, source.lost) == ((4096, 4000), 0)
        machine.clock_step(SECOND // 1000)
        assert (source.fifo, source.lost) == ((4096, 4096), 8000 - 4096)


@pytest.mark.parametrize("name", ["counter", "ramp"])
def test_gap_is_in_the_block_that_says_so(machine: qtest.Machine, dma: Dma, source: Generator, name: str) -> None:
    source.start(pattern=fabric.COUNTER if name == "counter" else fabric.RAMP, rate=MIB)
    machine.clock_step(SECOND // 4 + 100_000_000)
    lost = source.lost
    assert lost > 0
    dma.queue(MEMORY, FIFO - 4096)
    dma.queue(MEMORY + FIFO, 8192)
    dma.queue(MEMORY + 2 * FIFO, 4096)
    machine.clock_step(SECOND)
    assert [dma.response() for _ in range(3)] == [(FIFO - 4096, 0), (8192, fabric.GAP), (4096, 0)]
    checker = verified(
        machine,
        name,
        (MEMORY, FIFO - 4096, False),
        (MEMORY + FIFO, 8192, True),
        (MEMORY + 2 * FIFO, 4096, False),
    )
    assert checker.corrupt == 0
    assert checker.missing_bytes >= lost
    assert checker.missing_bytes - lost < 4096 + MIB // 100


def test_muted_source_stops_no_dma_that_stops_on_errors(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    """As altera-msgdma sets it. The gap is in LOST only."""
    dma.set(fabric.STOP_ON_ERROR)
    source.start(rate=MIB, mute=True)
    machine.clock_step(SECOND // 2)
    dma.queue(MEMORY, FIFO - 4096)
    dma.queue(MEMORY + FIFO, 8192)
    dma.queue(MEMORY + 2 * FIFO, 4096)
    machine.clock_step(SECOND)
    assert [dma.response() for _ in range(3)] == [(FIFO - 4096, 0), (8192, 0), (4096, 0)]
    assert not dma.status & fabric.STOPPED
    assert source.lost > 0
    assert source.overflowed
    assert machine.readl(SOURCE) == 5
    source.stop()
    assert machine.readl(SOURCE) == 0


def test_every_lost_byte_is_counted_where_the_dma_is_too_slow(tmp_path: Path) -> None:
    with qtest.powered(BOARD, tmp_path, cyclone5_msgdma__bytes_per_second="50000000") as machine:
        dma, source = Dma(machine, BOARD.fabric.msgdma), Generator(machine, BOARD.fabric.source)
        source.start(rate=80_000_000)
        blocks = 32
        for n in range(blocks):
            dma.queue(MEMORY + n * MIB, MIB)
        machine.clock_step(SECOND * blocks * MIB // 50_000_000 + SECOND)
        source.stop()
        status = [dma.response() for _ in range(blocks)]
        assert all(count == MIB for count, _ in status)
        checker = verified(
            machine, "counter", *((MEMORY + n * MIB, MIB, bool(status[n][1] & fabric.GAP)) for n in range(blocks))
        )
        _, level = source.fifo
        assert checker.corrupt == 0
        assert checker.missing_bytes > 0
        assert source.produced == blocks * MIB + source.lost + level
        # what is missing behind the last block that was taken is only in the source's counter
        assert checker.missing_bytes <= source.lost


def test_stop_of_the_dma_overflows_and_the_gap_is_exact(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(rate=40_000_000)
    for n in range(8):
        dma.queue(MEMORY + n * MIB, MIB)
    machine.clock_step(SECOND * 2 * MIB // 40_000_000)
    dma.set(fabric.STOP)
    machine.clock_step(SECOND // 10)
    lost = source.lost
    assert lost > 0
    dma.set(0)
    machine.clock_step(SECOND)
    status = [dma.response() for _ in range(8)]
    assert [bit & fabric.GAP for _, bit in status].count(fabric.GAP) == 1
    checker = verified(
        machine, "counter", *((MEMORY + n * MIB, MIB, bool(status[n][1] & fabric.GAP)) for n in range(8))
    )
    assert checker.corrupt == 0
    assert lost <= checker.missing_bytes <= lost + 4


# ---- patterns and rates ----


@pytest.mark.parametrize(("number", "name"), [(0, "counter"), (1, "prbs31"), (2, "ramp")])
def test_pattern_is_what_the_verifier_knows(
    machine: qtest.Machine, dma: Dma, source: Generator, number: int, name: str
) -> None:
    source.start(pattern=number)
    for n in range(4):
        dma.queue(MEMORY + n * MIB, MIB)
    machine.clock_step(SECOND)
    checker = verified(machine, name, *((MEMORY + n * MIB, MIB, False) for n in range(4)))
    assert (checker.corrupt, checker.missing_bytes) == (0, 0)


def test_ramp_is_sixteen_bit_samples(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(pattern=fabric.RAMP)
    dma.queue(MEMORY, MIB)
    machine.clock_step(SECOND)
    assert machine.read(MEMORY, 8) == bytes([0, 0, 1, 0, 2, 0, 3, 0])
    assert machine.read(MEMORY + 0x1FFFE, 4) == bytes([0xFF, 0xFF, 0, 0])


@pytest.mark.parametrize("rate", [1000, 999_999, 55_000_000, 399_999_996])
def test_rate_is_bytes_a_second_of_virtual_time(machine: qtest.Machine, dma: Dma, source: Generator, rate: int) -> None:
    source.start(rate=rate)
    for n in range(64):
        dma.queue(MEMORY + n * MIB, 8 * MIB)
    machine.clock_step(SECOND)
    assert source.produced == rate & ~3
    assert source.lost == 0


def test_rate_zero_is_as_fast_as_the_dma_and_never_overflows(
    machine: qtest.Machine, dma: Dma, source: Generator
) -> None:
    source.start()
    machine.clock_step(SECOND)
    assert (source.produced, source.lost) == (0, 0)
    dma.queue(MEMORY, MIB)
    machine.clock_step(duration(MIB))
    assert (source.produced, source.lost, source.fifo[1]) == (MIB, 0, 0)


def test_rate_may_change_while_it_runs(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(rate=1_000_000)
    machine.clock_step(SECOND // 10)
    machine.writel(SOURCE + 0xC, 500_000)
    machine.clock_step(SECOND // 10)
    assert source.produced == 150_000
    dma.queue(MEMORY, 150_000)
    machine.clock_step(SECOND // 100)
    assert verified(machine, "counter", (MEMORY, 150_000, False)).corrupt == 0


def test_high_words_belong_to_the_low_words_read_before(machine: qtest.Machine, source: Generator) -> None:
    source.start(rate=0xFFFFFFFC)
    machine.clock_step(SECOND)
    low = machine.readl(SOURCE + 0x20)
    machine.clock_step(SECOND)
    assert (low, machine.readl(SOURCE + 0x24)) == (0xFFFFFFFC, 0)
    assert source.produced == 2 * 0xFFFFFFFC
    assert source.lost == 2 * 0xFFFFFFFC - FIFO


# ---- frames ----


def test_frames_go_on_over_descriptors_and_blocks(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(frame=10_000)
    for n in range(6):
        dma.queue(MEMORY + n * 8192, 8000, fabric.END_ON_EOP)
    machine.clock_step(SECOND)
    assert [dma.response() for _ in range(6)] == [(8000, fabric.EARLY), (2000, 0)] * 3
    lengths = itertools.cycle((8000, 2000))
    checker = verified(machine, "counter", *((MEMORY + n * 8192, next(lengths), False) for n in range(6)))
    assert checker.corrupt == 0


def test_end_of_packet_among_lost_words_is_lost_with_them(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(rate=MIB, frame=200_000)
    machine.clock_step(SECOND * 300_000 // MIB)  # of the second frame's middle, what is behind the FIFO's depth
    lost = source.lost
    assert lost > 0
    dma.queue(MEMORY, MIB, fabric.END_ON_EOP)
    dma.queue(MEMORY, MIB, fabric.END_ON_EOP)
    machine.clock_step(SECOND)
    assert [dma.response(), dma.response()] == [(200_000, 0), (200_000 - lost, fabric.GAP)]
