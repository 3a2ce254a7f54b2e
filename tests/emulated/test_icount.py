# SPDX-License-Identifier: MIT
"""Determinism: with `icount` two runs of the boot, from the boot ROM into U-Boot's boot script, are one and the same.

What is compared at each moment of the guest's clock: the count of instructions, all registers, all memory, the console;
and the card at the end, on which U-Boot has counted an attempt. The network is there, and nobody outside talks to the
board. Linux, on two CPUs, is not compared: docs/emulator.md, "Instructions and determinism", says why.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import engine, reach
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.execution import Execution
from firmware.known_hosts import KnownHosts
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
SHIFT = 2  # 4 ns an instruction: about what an emulated CPU does on a fast host
SECOND = 1_000_000_000
MOMENTS = (SECOND // 10, SECOND // 2, SECOND, 2 * SECOND)  # SPL, U-Boot, its countdown, its boot script
MOMENT_SECONDS = 120.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh card."""
    folder = tmp_path_factory.mktemp("card")
    reach.make_card(engine.build(BOARD, Choice().engine), folder / "card.img", KnownHosts(folder / "known_hosts"))
    return folder / "card.img"


@contextmanager
def powered(card: Path, folder: Path, icount: int | None = SHIFT, paused: bool = False) -> Iterator[Emulator]:
    folder.mkdir()
    machine = Emulator(BOARD, Path(shutil.copy(card, folder / "card.img")), folder)
    machine.start(icount=icount, paused=paused)
    try:
        yield machine
    finally:
        machine.stop()


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass
class Trace:
    """What a run looked like at each moment, and what it left behind."""

    instructions: list[int]
    registers: list[str]
    memory: list[str]
    console: str
    card: str


def trace(card: Path, folder: Path) -> Trace:
    found = Trace([], [], [], "", "")
    memory = folder / "memory"
    with powered(card, folder, paused=True) as machine:
        execution = Execution(machine)
        for moment in MOMENTS:
            execution.pause_at(moment, MOMENT_SECONDS)
            found.instructions.append(execution.instructions)
            found.registers.append(execution.registers())
            machine.qmp("pmemsave", val=0, size=BOARD.memory_bytes, filename=str(memory))
            found.memory.append(digest(memory))
        found.console = machine.console_log.read_text(errors="replace")
    memory.unlink()
    found.card = digest(folder / "card.img")
    return found


def test_instructions_are_not_counted_without_icount(made: Path, tmp_path: Path) -> None:
    with powered(made, tmp_path / "run", icount=None) as machine:
        execution = Execution(machine)
        with pytest.raises(TargetError, match="valid: start QEMU with -icount"):
            _ = execution.instructions
        assert execution.clock_ns > 0


def test_moment_that_has_gone_by_is_refused(made: Path, tmp_path: Path) -> None:
    with powered(made, tmp_path / "run", paused=True) as machine:
        execution = Execution(machine)
        execution.pause_at(1000, MOMENT_SECONDS)
        with pytest.raises(TargetError, match=r"pause-at 500 has gone by .valid: above clock-ns"):
            execution.pause_at(500, MOMENT_SECONDS)


def test_two_boots_are_the_same_run(made: Path, tmp_path: Path) -> None:
    first, second = trace(made, tmp_path / "first"), trace(made, tmp_path / "second")
    assert first.instructions == second.instructions
    assert first.registers == second.registers
    assert first.memory == second.memory
    assert first.console == second.console
    assert first.card == second.card
    assert "boot: slot A" in first.console, "the trace goes as far as the boot script"
    assert first.card != digest(made), "U-Boot has written"
    assert first.instructions == sorted(set(first.instructions)), "time goes on"
    assert len(set(first.memory)) == len(MOMENTS)


def test_more_work_costs_more_and_sleep_costs_nothing(made: Path, tmp_path: Path) -> None:
    with powered(made, tmp_path / "run") as machine:
        prompt, execution = Prompt(machine), Execution(machine)
        prompt.run("echo there")
        costs = []
        for size in ("100000", "200000", "400000"):
            with execution.cost() as cost:
                prompt.run(f"crc32 0x1000000 {size}")
            costs.append(cost.instructions)
        assert costs[0] < costs[1] < costs[2]
