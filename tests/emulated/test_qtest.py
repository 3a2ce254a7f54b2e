# SPDX-License-Identifier: MIT
"""The register-level client of the emulated machine (tests/emulated/qtest.py): refusals, time, memory, interrupts."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware.errors import TargetError
from tests.emulated import qtest

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
TIMER = 0xFFC08000  # SP timer 0, 100 MHz
TIMER_SPI = 167
SECOND = 1_000_000_000


def test_unknown_command_is_refused_with_its_line(machine: qtest.Machine) -> None:
    with pytest.raises(TargetError, match="jump 1: FAIL Unknown command"):
        machine.command("jump 1")


def test_wrong_property_ends_the_machine_with_its_reason(tmp_path: Path) -> None:
    with (
        pytest.raises(TargetError, match=r"cyclone5-fabric\.interrupt is 64 \(valid: 0 to 63\)"),
        qtest.powered(BOARD, tmp_path, cyclone5_fabric__interrupt="64"),
    ):
        pass


def test_memory_keeps_what_is_written(machine: qtest.Machine) -> None:
    machine.fill(0x100000, 8, 0xAA)
    machine.write(0x100002, b"\x01\x02\x03")
    assert machine.read(0x100000, 8) == b"\xaa\xaa\x01\x02\x03\xaa\xaa\xaa"
    assert machine.readl(0x100004) == 0xAAAAAA03


def test_time_moves_by_steps_only(machine: qtest.Machine) -> None:
    assert machine.clock_step(1) == 1  # of no nanosecond QEMU 10 makes an error
    assert machine.clock_step(12345) == 12346


def test_timer_raises_its_interrupt_when_its_time_has_come(machine: qtest.Machine) -> None:
    machine.writel(TIMER, 100_000_000 - 1)
    machine.writel(TIMER + 8, 0x3)  # enable, user-defined count, not masked
    machine.clock_step(SECOND - 1000)
    assert not machine.raised(TIMER_SPI)
    machine.clock_step(2000)
    assert machine.raised(TIMER_SPI)
    assert machine.edges[TIMER_SPI] == 1
    machine.readl(TIMER + 0xC)  # end of interrupt
    assert not machine.raised(TIMER_SPI)


def test_many_commands_at_once_keep_their_order(machine: qtest.Machine) -> None:
    machine.commands([f"writel {0x200000 + 4 * n:#x} {n}" for n in range(1000)])
    answers = machine.commands([f"readl {0x200000 + 4 * n:#x}" for n in range(1000)])
    assert [int(answer, 0) for answer in answers] == list(range(1000))
