# SPDX-License-Identifier: MIT
"""The mSGDMA and packets: what ends at an end of packet, by the registers alone (tests/emulated/qtest.py)."""

from __future__ import annotations

import pytest

from firmware import board as boards
from tests.emulated import fabric_registers as fabric
from tests.emulated import qtest
from tests.emulated.fabric_registers import MEMORY, SECOND, Dma, Generator, counter, duration

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)


def test_packet_ends_its_descriptor(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(frame=1000)
    dma.set(fabric.IRQ_ENABLE)
    for n in range(3):
        dma.queue(MEMORY + 4096 * n, 4096, fabric.END_ON_EOP | fabric.IRQ_EARLY | fabric.IRQ_DONE * (n == 2))
    machine.clock_step(duration(1000) * 2 + 2)
    assert (dma.responses, dma.interrupts) == (2, 0)
    machine.clock_step(duration(1000))
    assert dma.interrupts == 1
    assert [dma.response() for _ in range(3)] == [(1000, 0)] * 3
    assert machine.read(MEMORY + 4096, 1000) == counter(250, 250)


def test_length_without_end_of_packet_is_an_early_termination(
    machine: qtest.Machine, dma: Dma, source: Generator
) -> None:
    source.start(frame=6000)
    dma.set(fabric.IRQ_ENABLE)
    dma.queue(MEMORY, 4000, fabric.END_ON_EOP | fabric.IRQ_EARLY)
    dma.queue(MEMORY, 4000, fabric.END_ON_EOP)
    machine.clock_step(duration(4000))
    assert dma.interrupt
    machine.clock_step(SECOND)
    assert [dma.response(), dma.response()] == [(4000, fabric.EARLY), (2000, 0)]


@pytest.mark.parametrize(
    ("frame", "length", "end"),
    [(4000, 4000, fabric.END_ON_EOP), (400, 4096, fabric.END_ON_LENGTH)],
    ids=["a packet as long as the descriptor", "a descriptor by length"],
)
def test_no_early_termination(
    machine: qtest.Machine, dma: Dma, source: Generator, frame: int, length: int, end: int
) -> None:
    source.start(frame=frame)
    dma.queue(MEMORY, length, end)
    machine.clock_step(SECOND)
    assert dma.response() == (length, 0)


def test_early_termination_stops_when_told_to(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start()
    dma.set(fabric.STOP_ON_EARLY)
    dma.queue(MEMORY, 4096, fabric.END_ON_EOP)
    dma.queue(MEMORY, 4096, fabric.END_ON_EOP)
    machine.clock_step(SECOND)
    assert dma.responses == 1
    assert dma.status & (fabric.STOPPED_ON_EARLY | fabric.STOPPED) == fabric.STOPPED_ON_EARLY | fabric.STOPPED
    dma.set(0)
    machine.clock_step(SECOND)
    assert dma.responses == 2
    assert not dma.status & fabric.STOPPED_ON_EARLY


def test_packets_come_at_the_rate_of_the_source(machine: qtest.Machine, dma: Dma, source: Generator) -> None:
    source.start(rate=1_000_000, frame=1000)
    for n in range(3):
        dma.queue(MEMORY + 4096 * n, 4096, fabric.END_ON_EOP)
    for n in range(3):
        machine.clock_step(999_000)
        assert dma.responses == n
        machine.clock_step(1_010)
        assert dma.responses == n + 1
