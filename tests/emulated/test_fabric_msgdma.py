# SPDX-License-Identifier: MIT
"""The mSGDMA from the stream to memory, register by register (Embedded Peripherals IP User Guide).

What a driver must not do comes first: that is what the metal punishes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware.board import BRIDGE_BASE
from tests.emulated import fabric_registers as fabric
from tests.emulated import qtest
from tests.emulated.fabric_registers import MEMORY, SECOND, Dma, Generator, counter, duration

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
DEPTH = BOARD.fabric.msgdma.descriptor_depth
CSR = BRIDGE_BASE + BOARD.fabric.msgdma.csr.offset
DESCRIPTOR = BRIDGE_BASE + BOARD.fabric.msgdma.descriptor.offset
RESPONSE = BRIDGE_BASE + BOARD.fabric.msgdma.response.offset


# ---- what goes wrong ----


def test_descriptor_written_to_a_full_fifo_is_lost(dma: Dma) -> None:
    dma.set(fabric.STOP)
    for n in range(DEPTH):
        assert not dma.status & fabric.FULL
        dma.queue(MEMORY + 4096 * n, 4096)
    assert dma.status & fabric.FULL
    dma.queue(MEMORY, 4096)
    assert dma.fill == (DEPTH, 0)


def test_without_go_nothing_is_queued(machine: qtest.Machine, dma: Dma) -> None:
    machine.writel(DESCRIPTOR + 8, 4096)
    machine.writel(DESCRIPTOR + 0x1C, fabric.IRQ_DONE)
    assert dma.status & fabric.IDLE == fabric.IDLE
    assert dma.fill == (0, 0)


def test_descriptor_without_length_hangs_until_reset(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.set(fabric.IRQ_ENABLE)
    dma.queue(MEMORY, 0)
    dma.queue(MEMORY, 4096)
    machine.clock_step(SECOND)
    assert dma.status & fabric.BUSY
    assert (dma.responses, dma.interrupts) == (0, 0)
    dma.set(fabric.RESET)
    machine.clock_step(1000)
    assert dma.status == fabric.IDLE
    dma.set(fabric.IRQ_ENABLE)
    dma.queue(MEMORY, 4096)
    machine.clock_step(duration(4096))
    assert dma.response() == (4096, 0)


def test_samples_for_no_memory_are_lost_and_the_next_are_right(
    machine: qtest.Machine, dma: Dma, source: Generator
) -> None:
    source.start()
    dma.queue(0xF000_0000, 4096)
    dma.queue(1 << 40, 4096)
    dma.queue(BOARD.memory_bytes - 1024, 4096)
    dma.queue(MEMORY, 16)
    machine.clock_step(SECOND)
    assert [dma.response() for _ in range(4)] == [(4096, 0)] * 3 + [(16, 0)]
    assert machine.read(MEMORY, 16) == counter(3 * 1024, 4)
    assert machine.read(BOARD.memory_bytes - 1024, 1024) == counter(2 * 1024, 256)


def test_masters_do_not_reach_registers(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(pattern=fabric.RAMP)
    dma.queue(CSR, 32)
    machine.clock_step(SECOND)
    assert dma.control == 0
    assert dma.response() == (32, 0)


def test_odd_address_and_length_are_cut_to_words(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    machine.fill(MEMORY, 32, 0xEE)
    source.start()
    dma.queue(MEMORY + 6, 11)
    machine.clock_step(SECOND)
    assert dma.response() == (8, 0)
    assert machine.read(MEMORY, 16) == b"\xee" * 4 + counter(0, 2) + b"\xee" * 4


def test_response_fifo_that_nobody_reads_stops_the_dma(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    for n in range(3 * DEPTH - 1):
        dma.queue(MEMORY + 64 * n, 64)
        machine.clock_step(duration(64))
    machine.clock_step(SECOND)
    assert dma.responses == 2 * DEPTH
    assert dma.status & fabric.RESPONSES_FULL
    assert dma.fill == (DEPTH - 1, 0)
    assert dma.response() == (64, 0)
    machine.clock_step(duration(64))
    assert dma.responses == 2 * DEPTH
    assert dma.fill == (DEPTH - 2, 0)


def test_descriptor_written_during_a_reset_is_lost(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(rate=1000)
    dma.queue(MEMORY, 4096)
    dma.set(fabric.RESET)
    assert dma.status & fabric.RESETTING
    dma.queue(MEMORY, 16)
    machine.clock_step(1000)
    assert dma.status == fabric.IDLE


def test_error_bit_stops_when_told_to(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(rate=100_000_000)
    machine.clock_step(10_000_000)  # 1 MB into a FIFO of 256 KiB
    depth, level = source.fifo
    assert level == depth
    dma.set(fabric.STOP_ON_ERROR | fabric.IRQ_ENABLE)
    dma.queue(MEMORY, depth, fabric.IRQ_ERRORS)
    dma.queue(MEMORY, 4096, fabric.IRQ_ERRORS)
    dma.queue(MEMORY, 4096, fabric.IRQ_ERRORS)
    machine.clock_step(duration(depth))
    assert not dma.interrupt
    machine.clock_step(SECOND)
    assert [dma.response(), dma.response()] == [(depth, 0), (4096, fabric.GAP)]
    assert dma.interrupt
    assert dma.status & (fabric.STOPPED_ON_ERROR | fabric.STOPPED | fabric.BUSY) == (
        fabric.STOPPED_ON_ERROR | fabric.STOPPED | fabric.BUSY
    )
    assert dma.control == fabric.STOP_ON_ERROR | fabric.IRQ_ENABLE | fabric.STOP
    dma.set(fabric.IRQ_ENABLE)
    assert not dma.status & (fabric.STOPPED_ON_ERROR | fabric.STOPPED)
    machine.clock_step(SECOND)
    assert dma.response()[0] == 4096


@pytest.mark.parametrize(("mask", "raised"), [(0xFF, True), (0x01, True), (0xFE, False), (0, False)])
def test_error_interrupt_has_a_mask(
    machine: qtest.Machine, dma: Dma, source: Generator, mask: int, raised: bool
) -> None:
    source.start(rate=100_000_000)
    machine.clock_step(10_000_000)
    depth, _ = source.fifo
    dma.set(fabric.IRQ_ENABLE)
    dma.queue(MEMORY, depth + 4096, mask << 16)
    machine.clock_step(SECOND)
    assert dma.response() == (depth + 4096, fabric.GAP)
    assert dma.interrupt is raised


# ---- interrupts ----


def test_masked_interrupt_leaves_no_bit(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.queue(MEMORY, 4096)
    machine.clock_step(SECOND)
    assert dma.responses == 1
    assert not dma.status & fabric.IRQ
    dma.set(fabric.IRQ_ENABLE)
    assert not dma.interrupt


def test_interrupt_stays_until_cleared_even_when_masked(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.set(fabric.IRQ_ENABLE)
    dma.queue(MEMORY, 4096)
    machine.clock_step(duration(4096) - 2)
    assert not dma.interrupt
    machine.clock_step(2)
    assert dma.interrupt
    dma.set(0)
    machine.writel(CSR, 0x1FF)
    assert dma.interrupt
    machine.writeb(CSR + 1, 0x02)
    assert not dma.interrupt
    assert not dma.status & fabric.IRQ


def test_only_descriptors_that_ask_for_it_interrupt(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.set(fabric.IRQ_ENABLE)
    for n in range(4):
        dma.queue(MEMORY, 4096, fabric.IRQ_DONE if n == 3 else fabric.END_ON_LENGTH)
    machine.clock_step(3 * duration(4096))
    assert (dma.responses, dma.interrupts) == (3, 0)
    machine.clock_step(duration(4096))
    assert (dma.responses, dma.interrupts) == (4, 1)


# ---- order, numbers, narrow accesses ----


def test_descriptors_run_in_order_and_their_numbers_show(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    for n in range(3):
        dma.queue(MEMORY + (2 - n) * 4096, 4096, sequence=100 + n)
    assert dma.status & (fabric.BUSY | fabric.NO_DESCRIPTORS) == fabric.BUSY
    assert (dma.fill, dma.sequence) == ((2, 0), (100, 0))
    machine.clock_step(duration(4096))
    assert (dma.fill, dma.sequence) == ((1, 0), (101, 0))
    machine.clock_step(2 * duration(4096))
    assert (dma.fill, dma.sequence, dma.responses) == ((0, 0), (102, 0), 3)
    assert not dma.status & fabric.BUSY
    assert machine.read(MEMORY, 3 * 4096) == counter(2048, 1024) + counter(1024, 1024) + counter(0, 1024)


def test_descriptor_is_committed_by_its_last_byte(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    machine.writew(DESCRIPTOR + 4, MEMORY & 0xFFFF)
    machine.writew(DESCRIPTOR + 6, MEMORY >> 16)
    machine.writeb(DESCRIPTOR + 9, 0x10)
    machine.writew(DESCRIPTOR + 0x1C, 0)
    machine.writeb(DESCRIPTOR + 0x1E, 0x80)
    assert dma.fill == (0, 0)
    assert not dma.status & fabric.BUSY
    machine.writeb(DESCRIPTOR + 0x1F, 0x80)
    assert dma.status & fabric.BUSY
    machine.clock_step(SECOND)
    assert dma.response() == (0x1000, 0)


def test_response_is_popped_by_its_last_byte(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.queue(MEMORY, 0x1234)
    dma.queue(MEMORY, 0x10)
    machine.clock_step(SECOND)
    assert machine.readl(RESPONSE) == 0x1234
    assert machine.readb(RESPONSE + 1) == 0x12
    assert machine.readw(RESPONSE + 4) == 0
    assert dma.responses == 2
    assert machine.readb(RESPONSE + 7) == 0
    assert dma.responses == 1
    assert dma.response() == (0x10, 0)
    assert dma.response() == (0, 0)
    assert dma.status & fabric.NO_RESPONSES


def test_standard_descriptors_are_four_words(tmp_path: Path) -> None:
    with qtest.powered(BOARD, tmp_path, cyclone5_msgdma__extended="off") as machine:
        dma = Dma(machine, BOARD.fabric.msgdma)
        Generator(machine, BOARD.fabric.source).start()
        for offset, value in ((4, MEMORY), (8, 4096), (12, fabric.GO)):
            machine.writel(DESCRIPTOR + offset, value)
        machine.clock_step(SECOND)
        assert dma.response() == (4096, 0)
        assert dma.sequence == (0, 0)
        assert machine.read(MEMORY, 4096) == counter(0, 1024)


def test_configuration_registers_tell_what_it_is(machine: qtest.Machine) -> None:
    first, second, kind = (machine.readl(CSR + offset) for offset in (0x14, 0x18, 0x1C))
    assert first >> 16 & 3 == 2  # stream to memory
    assert 8 << (first >> 13 & 7) == DEPTH
    assert 8 << (first >> 10 & 7) == 32  # bits
    assert first >> 18 & 1 == 1  # extended descriptors
    assert (second >> 16 & 1, second >> 19 & 3) == (1, 0)  # packets, memory-mapped responses
    assert kind == 0xDA01


# ---- stop, reset, park ----


def test_stop_holds_and_goes_on_where_it_was(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.queue(MEMORY, 40_000)
    machine.clock_step(duration(20_000))
    dma.set(fabric.STOP)
    assert dma.status & (fabric.STOPPED | fabric.BUSY) == fabric.STOPPED | fabric.BUSY
    machine.clock_step(SECOND)
    assert dma.responses == 0
    dma.set(0)
    assert not dma.status & fabric.STOPPED
    machine.clock_step(duration(20_000) - 100)
    assert dma.responses == 0
    machine.clock_step(200)
    assert dma.response() == (40_000, 0)
    assert machine.read(MEMORY, 40_000) == counter(0, 10_000)


def test_stop_descriptors_ends_between_two(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.queue(MEMORY, 4096)
    dma.queue(MEMORY, 4096)
    dma.set(fabric.STOP_DESCRIPTORS)
    assert not dma.status & fabric.STOPPED
    machine.clock_step(SECOND)
    assert dma.status & fabric.STOPPED
    assert (dma.responses, dma.fill) == (1, (1, 0))
    dma.set(0)
    machine.clock_step(duration(4096))
    assert dma.responses == 2


def test_reset_forgets_everything_but_the_source(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.set(fabric.IRQ_ENABLE)
    for _ in range(4):
        dma.queue(MEMORY, 4096)
    machine.clock_step(duration(4096) * 2)
    assert dma.interrupt
    dma.set(fabric.RESET)
    assert dma.status & fabric.RESETTING
    machine.clock_step(1000)
    assert (dma.status, dma.control, dma.fill, dma.responses) == (fabric.IDLE, 0, (0, 0), 0)
    assert not dma.interrupt
    assert source.produced >= 2 * 4096


def test_parked_descriptor_runs_until_another_comes(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.queue(MEMORY, 4096, fabric.PARK_WRITES)
    machine.clock_step(5 * duration(4096))
    assert dma.responses == 5
    assert dma.fill == (1, 0)
    dma.queue(MEMORY + 4096, 4096, 0)
    machine.clock_step(3 * duration(4096))
    assert dma.responses == 8
    assert (dma.fill, dma.status & fabric.BUSY) == ((0, 0), 0)
    assert machine.read(MEMORY + 4096, 8) == counter(7 * 1024, 2)
