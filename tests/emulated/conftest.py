# SPDX-License-Identifier: MIT
"""An emulated board that runs the product's image, for tests that need Linux on it.

`linux` is one board a test module, with a fresh card and nothing wrong with it; a test that changes it for good takes
`linux_of_its_own` instead. Booting takes 20 s on an idle computer: share what can be shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware import admission, cost, engine, reach
from firmware import board as boards
from firmware.board import Board
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.faults import Faults
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target
from tests.emulated import driver_cases, qtest, slot_file
from tests.emulated.fabric_registers import Dma, Generator


@dataclass
class Linux:
    """A running board: the emulator, its faults, and the way in by SSH (`target.output([...], sudo=True)`)."""

    board: Board
    emulator: Emulator
    faults: Faults
    target: Target

    @property
    def stream(self) -> tuple[str, int]:
        """Host and port of the capture stream, which this computer is let in to."""
        admission.admit(self.target)
        return (reach.LOOPBACK, self.emulator.stream_port)


@contextmanager
def booted(
    folder: Path,
    icount: int | None = None,
    overlay: bytes | None = None,
    name: str = boards.DEFAULT_BOARD,
    **options: str,
) -> Iterator[Linux]:
    """The board `name` with a fresh card in `folder`, on and answering; off behind the block.

    `overlay`: the card's slot A has this device tree overlay instead of the board's. With `icount` Linux has one CPU.
    """
    board = boards.load(name)
    built = engine.build(board, Choice().engine)
    known = KnownHosts(folder / "known_hosts")
    card = folder / "card.img"
    if icount is None:
        reach.make_card(built, card, known)
    else:
        cost.make_card(board, card, known)
    if overlay is not None:
        slot_file.replace(card, "/boot/overlay.dtbo", overlay)
    machine = Emulator(board, card, folder, **options)
    machine.start(icount=icount, sleep=icount is not None)
    try:
        target = Target(reach.LOOPBACK, machine.ssh_port, known=known)
        reach.wait_until_up(reach.Reach(target, (reach.LOOPBACK, machine.stream_port), machine.console_log))
        with target:
            yield Linux(board, machine, Faults(machine), target)
    finally:
        machine.stop()


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linux]:
    with booted(tmp_path_factory.mktemp("linux")) as running:
        yield running


@pytest.fixture
def linux_of_its_own(tmp_path: Path) -> Iterator[Linux]:
    with booted(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def capture(linux: Linux) -> Linux:
    """The module's board with the driver's cases on it, and nobody on its capture device."""
    return driver_cases.prepare(linux)


@pytest.fixture
def quiet(capture: Linux) -> Iterator[None]:
    """The test leaves no complaint of the kernel behind."""
    with driver_cases.no_complaints(capture):
        yield


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[qtest.Machine]:
    """The default board without its CPUs, register by register."""
    with qtest.powered(boards.load(boards.DEFAULT_BOARD), tmp_path) as running:
        yield running


@pytest.fixture
def dma(machine: qtest.Machine) -> Dma:
    return Dma(machine, boards.load(boards.DEFAULT_BOARD).fabric.msgdma)


@pytest.fixture
def source(machine: qtest.Machine) -> Generator:
    return Generator(machine, boards.load(boards.DEFAULT_BOARD).fabric.source)
