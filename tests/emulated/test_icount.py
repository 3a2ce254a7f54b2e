# SPDX-License-Identifier: MIT
"""Determinism: with `icount` two runs of a boot are one and the same: boot ROM, SPL, U-Boot, and Linux on both CPUs.

What is compared at each moment of the guest's clock: the count of instructions, all registers of both CPUs, all memory,
the console; and the card at the end, on which U-Boot has counted an attempt. During the second run the host
disturbs QEMU all the time, as a busy one does by chance. The network's cable is out: a peer is in the host's time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
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
from firmware.ssh import Target
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
SHIFT = 2  # 4 ns an instruction: about what an emulated CPU does on a fast host
SECOND = 1_000_000_000
MOMENTS = (SECOND // 2, 2 * SECOND, 3 * SECOND, 4 * SECOND)  # U-Boot, its boot script, Linux's drivers, systemd
MOMENT_SECONDS = 300.0
LATE_MOMENTS = (8 * SECOND, 20 * SECOND, 60 * SECOND)  # services start, all have started, idle
DISTURBANCE_SECONDS = 0.002
LEAST_STOPS = 100
WORK_BYTES = 4 << 20
WORK_SHA256 = hashlib.sha256(bytes(WORK_BYTES)).hexdigest()
WORK = (
    f"for cpu in 0 1; do (s=$(head -c {WORK_BYTES} /dev/zero | taskset -c $cpu sha256sum); "
    "echo $cpu ${s%% *}) & done; wait"
)
WORK_SECONDS = 300.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh card."""
    folder = tmp_path_factory.mktemp("card")
    reach.make_card(engine.build(BOARD, Choice().engine), folder / "card.img", KnownHosts(folder / "known_hosts"))
    return folder / "card.img"


@contextmanager
def powered(
    card: Path, folder: Path, icount: int | None = SHIFT, paused: bool = False, **options: str
) -> Iterator[Emulator]:
    folder.mkdir()
    machine = Emulator(BOARD, Path(shutil.copy(card, folder / "card.img")), folder, **options)
    machine.start(icount=icount, paused=paused)
    try:
        yield machine
    finally:
        machine.stop()


@contextmanager
def disturbed(machine: Emulator) -> Iterator[None]:
    """Let QEMU's threads share one core of the host, and stop them all over and over, as a busy host does by chance."""
    over, stops = threading.Event(), 0
    core = {min(os.sched_getaffinity(0))}

    def disturb() -> None:
        nonlocal stops
        while not over.wait(DISTURBANCE_SECONDS):
            for thread in Path(f"/proc/{machine.pid}/task").iterdir():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), core)
            os.kill(machine.pid, signal.SIGSTOP)
            over.wait(DISTURBANCE_SECONDS)
            os.kill(machine.pid, signal.SIGCONT)
            stops += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert stops > LEAST_STOPS


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


def trace(card: Path, folder: Path, moments: Sequence[int], disturb: bool) -> Trace:
    found = Trace([], [], [], "", "")
    memory = folder / "memory"
    how = powered(card, folder, paused=True, cyclone5_emac__cable="off")
    with how as machine, disturbed(machine) if disturb else nullcontext():
        execution = Execution(machine)
        for moment in moments:
            execution.pause_at(moment, MOMENT_SECONDS)
            found.instructions.append(execution.instructions)
            found.registers.append(execution.registers())
            machine.qmp("pmemsave", val=0, size=BOARD.memory_bytes, filename=str(memory))
            found.memory.append(digest(memory))
        found.console = machine.console_log.read_text(errors="replace")
    memory.unlink()
    found.card = digest(folder / "card.img")
    return found


def twice(made: Path, folder: Path, moments: Sequence[int]) -> Trace:
    """The trace of two runs, which is one and the same."""
    first = trace(made, folder / "first", moments, disturb=False)
    second = trace(made, folder / "second", moments, disturb=True)
    assert first.instructions == second.instructions
    assert first.registers == second.registers
    assert first.memory == second.memory
    assert first.console == second.console
    assert first.card == second.card
    return first


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


def test_two_boots_into_linux_on_both_cpus_are_the_same_run(made: Path, tmp_path: Path) -> None:
    found = twice(made, tmp_path, MOMENTS)
    assert "boot: slot A" in found.console
    assert "SMP: Total of 2 processors activated" in found.console
    assert "systemd[1]: " in found.console, "the trace goes as far as user space"
    assert found.card != digest(made), "U-Boot has written"
    assert found.instructions == sorted(set(found.instructions)), "time goes on"
    assert len(set(found.memory)) == len(MOMENTS)


@pytest.mark.slow
def test_two_boots_until_the_board_idles_are_the_same_run_and_sleep_costs_little(made: Path, tmp_path: Path) -> None:
    found = twice(made, tmp_path, LATE_MOMENTS)
    assert re.search("Started .*captured.service", found.console)
    busy, idle = found.instructions[1] - found.instructions[0], found.instructions[2] - found.instructions[1]
    assert idle < busy / 20, "a CPU that sleeps in WFI executes nothing; of 40 s the kernel's own timers are 6 million"


@pytest.mark.slow
def test_both_cpus_work_to_the_end_in_the_hosts_time(made: Path, tmp_path: Path) -> None:
    """With `sleep`, as the cost of a capture is counted: QEMU's own turns hung here, CPU 1 without a turn."""
    known = KnownHosts(made.parent / "known_hosts")
    folder = tmp_path / "run"
    folder.mkdir()
    machine = Emulator(BOARD, Path(shutil.copy(made, folder / "card.img")), folder)
    machine.start(icount=SHIFT, sleep=True)
    try:
        target = Target(reach.LOOPBACK, machine.ssh_port, known=known)
        reach.wait_until_up(reach.Reach(target, (reach.LOOPBACK, machine.stream_port), machine.console_log))
        with target, Execution(machine).cost() as cost:
            said = target.output(["sh", "-c", WORK], timeout=WORK_SECONDS)
    finally:
        machine.stop()
    assert said.split() == ["0", WORK_SHA256, "1", WORK_SHA256] or said.split() == ["1", WORK_SHA256, "0", WORK_SHA256]
    assert cost.instructions > 2 * WORK_BYTES, "more than an instruction a byte, twice"


def test_more_work_costs_more(made: Path, tmp_path: Path) -> None:
    with powered(made, tmp_path / "run") as machine:
        prompt, execution = Prompt(machine), Execution(machine)
        prompt.run("echo there")
        costs = []
        for size in ("100000", "200000", "400000"):
            with execution.cost() as cost:
                prompt.run(f"crc32 0x1000000 {size}")
            costs.append(cost.instructions)
        assert costs[0] < costs[1] < costs[2]
