# SPDX-License-Identifier: MIT
"""Faults of the fabric on demand: each happens exactly as often as asked, is counted, and leaves the rest alone."""

from __future__ import annotations

from typing import cast

import pytest

from firmware import board as boards
from firmware import pattern
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.faults import Faults, Injected
from tests.emulated import fabric_registers as fabric
from tests.emulated import qtest
from tests.emulated.fabric_registers import MEMORY, SECOND, Dma, Generator, duration

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
FIFO = 256 << 10
BLOCK = 4096


@pytest.fixture
def dma(dma: Dma) -> Dma:
    dma.set(fabric.IRQ_ENABLE)
    return dma


@pytest.fixture
def source(source: Generator) -> Generator:
    source.start()
    return source


@pytest.fixture
def faults(machine: qtest.Machine) -> Faults:
    return Faults(cast(Emulator, machine))


def one(machine: qtest.Machine, dma: Dma, control: int = fabric.IRQ_DONE) -> tuple[int, int, bool]:
    """Run one descriptor: bytes and status of its response, and did it interrupt."""
    before = dma.interrupts
    dma.queue(MEMORY, BLOCK, control)
    machine.clock_step(duration(BLOCK))
    dma.clear_interrupt()
    return (*dma.response(), dma.interrupts > before)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("source", "drop-bytes", 2),
        ("source", "drop-bytes", (1 << 40) + 4),
        ("source", "dropped-bytes", 0),
        ("source", "flipped-words", 0),
        ("msgdma", "staled-descriptors", 0),
        ("msgdma", "shorten-bytes", 6),
        ("msgdma", "shorten-bytes", 0),
        ("msgdma", "fail-bits", 256),
        ("msgdma", "stall-ns", 1 << 60),
        ("msgdma", "lost-interrupts", 0),
        ("copier", "delay-ns", "soon"),
    ],
)
def test_machine_itself_refuses_what_makes_no_sense(
    machine: qtest.Machine, path: str, name: str, value: object
) -> None:
    with pytest.raises(TargetError):
        machine.qmp("qom-set", path=f"/machine/fabric/{path}", property=name, value=value)


def test_without_faults_nothing_is_counted(machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults) -> None:
    assert one(machine, dma) == (BLOCK, 0, True)
    assert faults.msgdma.injected() == faults.copier.injected() == Injected(0, 0, 0, 0, 0, 0, 0)
    assert faults.source.dropped_bytes == faults.source.flipped_words == 0


def test_lost_interrupts(machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults) -> None:
    faults.msgdma.lose_interrupts(2)
    assert [one(machine, dma)[2] for _ in range(4)] == [False, False, True, True]
    assert faults.msgdma.injected().lost_interrupts == 2


def test_interrupt_that_would_change_nothing_cannot_be_lost(
    machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults
) -> None:
    dma.queue(MEMORY, BLOCK)
    machine.clock_step(duration(BLOCK))
    faults.msgdma.lose_interrupts(1)
    dma.queue(MEMORY, BLOCK)  # the line is still high
    dma.queue(MEMORY, BLOCK, 0)  # does not interrupt
    machine.clock_step(2 * duration(BLOCK))
    assert faults.msgdma.injected().lost_interrupts == 0
    dma.clear_interrupt()
    assert one(machine, dma)[2] is False
    assert faults.msgdma.injected().lost_interrupts == 1


def test_late_interrupts(machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults) -> None:
    faults.msgdma.delay_interrupts(1, 5_000_000)
    dma.queue(MEMORY, BLOCK)
    machine.clock_step(duration(BLOCK) + 4_999_000)
    assert (dma.responses, dma.interrupt) == (1, False)
    machine.clock_step(1000)
    assert dma.interrupt
    dma.clear_interrupt()
    dma.response()
    assert one(machine, dma) == (BLOCK, 0, True)
    assert faults.msgdma.injected().delayed_interrupts == 1


def test_reset_takes_a_late_interrupt_back(machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults) -> None:
    faults.msgdma.delay_interrupts(1, 5_000_000)
    dma.queue(MEMORY, BLOCK)
    machine.clock_step(SECOND // 1000)
    dma.set(fabric.RESET)
    dma.set(fabric.IRQ_ENABLE)
    machine.clock_step(SECOND)
    assert not dma.interrupt


def test_failed_descriptors(machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults) -> None:
    faults.msgdma.fail(2, 0x84)
    assert one(machine, dma, fabric.IRQ_ERRORS) == (BLOCK, 0x84, True)
    assert one(machine, dma, 0x7B << 16) == (BLOCK, 0x84, False)
    assert one(machine, dma, fabric.IRQ_ERRORS) == (BLOCK, 0, False)
    assert faults.msgdma.injected().failed_descriptors == 2


def test_failed_descriptor_stops_a_core_that_shall_stop(
    machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults
) -> None:
    dma.set(fabric.STOP_ON_ERROR | fabric.IRQ_ENABLE)
    faults.msgdma.fail(1)
    one(machine, dma)
    assert dma.status & fabric.STOPPED_ON_ERROR


def test_shortened_descriptors_lose_nothing(
    machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults
) -> None:
    faults.msgdma.shorten(2, 1000)
    dma.queue(MEMORY, 1000)  # not longer: not shortened
    for n in range(1, 4):
        dma.queue(MEMORY + n * BLOCK, BLOCK, fabric.END_ON_EOP * (n == 2) | fabric.IRQ_EARLY)
    machine.clock_step(SECOND)
    lengths = [dma.response() for _ in range(4)]
    assert lengths == [(1000, 0), (1000, 0), (1000, 0), (BLOCK, 0)]
    checker = pattern.checker("counter")
    for n, (length, _) in enumerate(lengths):
        checker.check(machine.read(MEMORY + n * BLOCK, length), False, n == 0)
    assert checker.corrupt == 0
    assert faults.msgdma.injected().shortened_descriptors == 2


def test_stale_line_hides_what_was_written_and_nothing_says_so(
    machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults
) -> None:
    machine.write(MEMORY, b"\xa5" * 3 * BLOCK)
    faults.msgdma.leave_stale(1)
    for n in range(3):
        dma.queue(MEMORY + n * BLOCK, BLOCK if n else 64)
    machine.clock_step(SECOND)
    assert [dma.response() for _ in range(3)] == [(64, 0), (BLOCK, 0), (BLOCK, 0)]
    assert machine.read(MEMORY, 32) == b"\xa5" * 32
    assert machine.read(MEMORY + 32, 32) == b"".join(n.to_bytes(4, "little") for n in range(8, 16))
    assert machine.read(MEMORY + BLOCK, 4) == (16).to_bytes(4, "little")
    assert faults.msgdma.injected().staled_descriptors == 1


def test_flipped_words_are_wrong_and_nothing_says_so(
    machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults
) -> None:
    faults.source.flip(3)
    assert one(machine, dma) == (BLOCK, 0, True)
    assert [int.from_bytes(machine.read(MEMORY + 4 * n, 4), "little") for n in range(5)] == [1, 0, 3, 3, 4]
    assert (faults.source.flipped_words, source.lost, source.overflowed) == (3, 0, False)
    assert one(machine, dma) == (BLOCK, 0, True)
    assert machine.read(MEMORY, 4) == (BLOCK // 4).to_bytes(4, "little")


def test_stall_overflows_the_source_and_the_gap_is_exact(machine: qtest.Machine, dma: Dma, faults: Faults) -> None:
    source = Generator(machine, BOARD.fabric.source)
    source.start(rate=100_000_000)
    for n in range(16):
        dma.queue(MEMORY + n * FIFO, FIFO)
    machine.clock_step(SECOND // 1000)
    faults.msgdma.stall(10_000_000)
    machine.clock_step(10_000_000)
    stalled = dma.responses
    assert stalled == 0
    lost = source.lost
    assert lost == 1_000_000 - FIFO
    machine.clock_step(SECOND)
    assert dma.responses == 16
    checker = pattern.checker("counter")
    flags = 0
    for n in range(16):
        count, status = dma.response()
        flags += status & fabric.GAP
        checker.check(machine.read(MEMORY + n * FIFO, count), bool(status & fabric.GAP), n == 0)
    assert (checker.corrupt, checker.missing_bytes, flags) == (0, lost, 1)
    assert faults.msgdma.injected().stalls == 1
    assert faults.msgdma.injected().stalled_ns == 10_000_000


def test_stall_can_be_ended_and_can_come_before_the_descriptor(
    machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults
) -> None:
    faults.msgdma.stall(SECOND)
    dma.queue(MEMORY, BLOCK)
    machine.clock_step(SECOND // 2)
    assert dma.responses == 0
    faults.msgdma.stall(0)
    machine.clock_step(duration(BLOCK))
    assert dma.responses == 1
    faults.msgdma.stall(SECOND)
    dma.queue(MEMORY, BLOCK)
    machine.clock_step(SECOND)
    assert dma.responses == 1
    machine.clock_step(duration(BLOCK))
    assert dma.responses == 2


@pytest.mark.parametrize("rate", [0, 20_000_000])
def test_dropped_bytes_look_like_an_overflow(machine: qtest.Machine, dma: Dma, faults: Faults, rate: int) -> None:
    source = Generator(machine, BOARD.fabric.source)
    source.start(rate=rate)
    dma.queue(MEMORY, BLOCK)
    machine.clock_step(SECOND * BLOCK // 20_000_000 + 100)
    assert dma.response() == (BLOCK, 0)
    faults.source.drop(123_456)
    dma.queue(MEMORY + BLOCK, BLOCK)
    dma.queue(MEMORY + 2 * BLOCK, BLOCK)
    machine.clock_step(SECOND * 3 * (BLOCK + 123_456) // 20_000_000)
    assert [dma.response(), dma.response()] == [(BLOCK, fabric.GAP), (BLOCK, 0)]
    checker = pattern.checker("counter")
    for n in range(3):
        checker.check(machine.read(MEMORY + n * BLOCK, BLOCK), n == 1, n == 0)
    assert (checker.corrupt, checker.missing_bytes) == (0, 123_456)
    assert (faults.source.dropped_bytes, source.lost, source.overflowed) == (123_456, 123_456, True)


def test_drop_waits_for_a_source_that_stands_still(machine: qtest.Machine, dma: Dma, faults: Faults) -> None:
    faults.source.drop(4000)
    machine.clock_step(SECOND)
    assert faults.source.dropped_bytes == 0
    source = Generator(machine, BOARD.fabric.source)
    source.start(rate=1_000_000)
    machine.clock_step(SECOND // 1000)
    assert (faults.source.dropped_bytes, source.produced, source.fifo[1]) == (1000, 1000, 0)
    faults.source.drop(0)
    machine.clock_step(SECOND // 1000)
    assert (faults.source.dropped_bytes, source.produced, source.fifo[1]) == (1000, 2000, 1000)


def test_faults_of_the_copier_are_its_own(machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults) -> None:
    assert BOARD.fabric.copier is not None
    copier = Dma(machine, BOARD.fabric.copier)
    copier.set(fabric.IRQ_ENABLE)
    faults.copier.lose_interrupts(1)
    assert one(machine, dma) == (BLOCK, 0, True)
    assert one(machine, copier) == (0, 0, False)
    assert one(machine, copier) == (0, 0, True)


def test_faults_outlive_a_reset_of_the_board(
    machine: qtest.Machine, dma: Dma, source: Generator, faults: Faults
) -> None:
    faults.msgdma.lose_interrupts(2)
    assert one(machine, dma)[2] is False
    machine.qmp("system_reset")
    dma.set(fabric.IRQ_ENABLE)
    source.start()
    assert one(machine, dma)[2] is False
    assert one(machine, dma)[2] is True
    assert faults.msgdma.injected().lost_interrupts == 2
