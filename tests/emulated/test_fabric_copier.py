# SPDX-License-Identifier: MIT
"""The mSGDMA from memory to memory, register by register; test_fabric_dmatest.py has mainline's word on it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from firmware import board as boards
from firmware.board import BRIDGE_BASE
from tests.emulated import fabric_registers as fabric
from tests.emulated import qtest
from tests.emulated.fabric_registers import MEMORY, SECOND, Dma, duration

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
MIB = 1 << 20
FROM, TO = MEMORY, MEMORY + 16 * MIB


@pytest.fixture
def dma(machine: qtest.Machine) -> Dma:
    assert BOARD.fabric.copier is not None
    return Dma(machine, BOARD.fabric.copier)


def fill(machine: qtest.Machine, address: int, count: int) -> bytes:
    data = random.Random(count).randbytes(count)  # noqa: S311  # not for a secret
    machine.write(address, data)
    return data


def test_board_without_a_copier_has_nothing_there(tmp_path: Path) -> None:
    assert BOARD.fabric.copier is not None
    with qtest.powered(boards.load("sockit"), tmp_path) as machine:
        csr = BRIDGE_BASE + BOARD.fabric.copier.csr.offset
        machine.writel(csr + 4, fabric.IRQ_ENABLE)
        assert machine.readl(csr + 4) == 0
        assert [child["name"] for child in machine.qmp("qom-list", path="/machine/fabric")].count("copier") == 0


@pytest.mark.parametrize(("source", "to"), [(0xF000_0000, TO), (FROM, 0xF000_0000), (1 << 33, 1 << 34)])
def test_no_memory_there_moves_nothing_and_goes_on(machine: qtest.Machine, dma: Dma, source: int, to: int) -> None:
    data = fill(machine, FROM, 64)
    dma.queue(to, 4096, source=source)
    dma.queue(TO + MIB, 64, source=FROM)
    machine.clock_step(SECOND)
    assert dma.responses == 2
    assert machine.read(TO + MIB, 64) == data


def test_two_cores_share_nothing(machine: qtest.Machine, dma: Dma) -> None:
    capture = Dma(machine, BOARD.fabric.msgdma)
    capture.set(fabric.STOP)
    dma.set(fabric.IRQ_ENABLE)
    fill(machine, FROM, 64)
    dma.queue(TO, 64, source=FROM)
    machine.clock_step(SECOND)
    assert (capture.responses, capture.control, capture.interrupts) == (0, fabric.STOP, 0)
    assert (dma.responses, dma.control, dma.interrupts) == (1, fabric.IRQ_ENABLE, 1)


@pytest.mark.parametrize(
    ("offset", "shift", "count"), [(0, 0, MIB), (1, 2, 70_001), (3, 0, 5), (0, 1, 1), (2, 2, 65_536), (7, 5, 3)]
)
def test_copy_is_exact_whatever_the_alignment(
    machine: qtest.Machine, dma: Dma, offset: int, shift: int, count: int
) -> None:
    data = fill(machine, FROM + offset, count)
    machine.fill(TO, count + 32, 0xEE)
    dma.queue(TO + shift, count, source=FROM + offset)
    machine.clock_step(duration(count) - 2)
    assert dma.responses == 0
    machine.clock_step(2)
    assert dma.response() == (0, 0), "without packets the core does not count bytes"
    assert machine.read(TO, count + 32) == b"\xee" * shift + data + b"\xee" * (32 - shift)


def test_levels_and_numbers_show_on_both_sides(machine: qtest.Machine, dma: Dma) -> None:
    for n in range(4):
        dma.queue(TO, 4096, source=FROM, sequence=n + 7)
    assert (dma.fill, dma.sequence) == ((3, 3), (7, 7))
    machine.clock_step(2 * duration(4096))
    assert (dma.fill, dma.sequence) == ((1, 1), (9, 9))


def test_packets_and_early_termination_are_not_of_this_core(machine: qtest.Machine, dma: Dma) -> None:
    dma.set(fabric.IRQ_ENABLE | fabric.STOP_ON_EARLY)
    dma.queue(TO, 4096, fabric.END_ON_EOP | fabric.IRQ_EARLY | fabric.IRQ_ERRORS, source=FROM)
    machine.clock_step(SECOND)
    assert (dma.response(), dma.interrupts) == ((0, 0), 0)
    assert not dma.status & fabric.STOPPED


def test_parked_on_both_sides_it_copies_again_and_again(machine: qtest.Machine, dma: Dma) -> None:
    dma.queue(TO, 64, fabric.PARK_READS | fabric.PARK_WRITES, source=FROM)
    fill(machine, FROM, 64)
    machine.clock_step(duration(64))
    data = fill(machine, FROM, 64)[::-1]
    machine.write(FROM, data)
    machine.clock_step(2 * duration(64))
    assert machine.read(TO, 64) == data
    assert dma.fill == (1, 1)


def test_configuration_registers_tell_what_it_is(machine: qtest.Machine, dma: Dma) -> None:
    csr = BRIDGE_BASE + dma.place.csr.offset
    first, second = machine.readl(csr + 0x14), machine.readl(csr + 0x18)
    assert first >> 16 & 3 == 0  # memory to memory
    assert 8 << (first >> 13 & 7) == dma.place.descriptor_depth
    assert (second >> 16 & 1, second >> 21 & 3) == (0, 2)  # no packets, unaligned


def test_stop_and_reset(machine: qtest.Machine, dma: Dma) -> None:
    data = fill(machine, FROM, 40_000)
    dma.queue(TO, 40_000, source=FROM)
    machine.clock_step(duration(20_000))
    dma.set(fabric.STOP)
    machine.clock_step(SECOND)
    assert dma.responses == 0
    dma.set(0)
    machine.clock_step(duration(20_000) + 100)
    assert (dma.responses, machine.read(TO, 40_000)) == (1, data)
    dma.queue(TO, 40_000, source=FROM)
    dma.set(fabric.RESET)
    machine.clock_step(1000)
    assert (dma.status, dma.responses) == (fabric.IDLE, 0)
