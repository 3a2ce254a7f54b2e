# SPDX-License-Identifier: MIT
"""`./inv emulate` beyond the console: snapshots, boards side by side, and what is refused. U-Boot is enough for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import emulator_session, paths, reach
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.errors import UserError
from tests.emulated import boot_card
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
DUMPED = 0x20000  # bytes of memory that U-Boot shows
NAMES = (boards.DEFAULT_BOARD, boards.DEFAULT_BOARD, "de10-nano")


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return boot_card.make(tmp_path / "card.img")


def save_something(machine: Emulator) -> None:
    Prompt(machine).run("setenv lasting 42; saveenv")


def test_snapshot_leaves_the_card_untouched(card: Path, tmp_path: Path) -> None:
    before = card.read_bytes()
    machine = Emulator(BOARD, card, tmp_path / "run")
    machine.start(snapshot=True)
    try:
        prompt = Prompt(machine)
        prompt.run("setenv lasting 42; saveenv")
        prompt.send("reset", r"U-Boot SPL \d+")
        assert "lasting=42" in prompt.run("printenv lasting"), "the running board sees what it has written"
    finally:
        machine.stop()
    assert card.read_bytes() == before


def test_without_a_snapshot_the_card_is_written(card: Path, tmp_path: Path) -> None:
    before = card.read_bytes()
    machine = Emulator(BOARD, card, tmp_path / "run")
    machine.start()
    try:
        save_something(machine)
    finally:
        machine.stop()
    assert card.read_bytes() != before


def test_fast_output_is_in_the_consoles_log_exactly_once(card: Path, tmp_path: Path) -> None:
    """600 KB, a byte a write, while two read it."""
    machine = Emulator(BOARD, card, tmp_path / "run")
    machine.start()
    try:
        said = Prompt(machine).run(f"md.b 0 {DUMPED:#x}").splitlines()
        assert machine.wait_console(f"(?m)^{DUMPED - 16:08x}: ", 60.0)
    finally:
        machine.stop()
    assert len(said) == DUMPED // 16
    dump = re.compile(r"([0-9a-f]{8}):(?: [0-9a-f]{2}){16}  .{16}")
    found = [dump.fullmatch(line) for line in said]
    assert [int(row[1], 16) if row else -1 for row in found] == list(range(0, DUMPED, 16))


def test_boards_run_side_by_side(card: Path, tmp_path: Path) -> None:
    """Two snapshots of one card, and a board of another name."""
    machines = [Emulator(boards.load(name), card, tmp_path / f"{n}-{name}") for n, name in enumerate(NAMES)]
    try:
        for machine in machines:
            machine.start(snapshot=True)
        for machine in machines:
            machine.wait_console(r"U-Boot \d+", 60.0)
        ports = [port for machine in machines for port in (machine.ssh_port, machine.stream_port)]
        assert len(set(ports)) == len(ports)
    finally:
        for machine in machines:
            machine.stop()


# Python warns that nobody waits for the process: it outlives the program that started it, on purpose.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_running_board_refuses_what_is_for_power_on(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    emulator_session.start(BOARD, card)
    try:
        for wanted in (reach.Wanted(fresh=True), reach.Wanted(snapshot=True)):
            with pytest.raises(UserError, match=r"is on: no --(fresh|snapshot) now .valid: first"):
                reach.console(Choice(), wanted)
        with pytest.raises(UserError, match="is on already"):
            emulator_session.start(BOARD, card)
    finally:
        assert emulator_session.stop(BOARD.name)
    assert not emulator_session.stop(BOARD.name)


@pytest.mark.parametrize("other", ["fresh", "headless", "snapshot"])
def test_stop_goes_with_nothing_else(other: str) -> None:
    with pytest.raises(UserError, match="valid: --stop alone"):
        reach.Wanted(stop=True, **{other: True})
