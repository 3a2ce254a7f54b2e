# SPDX-License-Identifier: MIT
"""A read error of the card while U-Boot loads: what could not be read is not started.

U-Boot's driver loses data errors unless it is patched (docs/emulator.md, "Faults"): it would start a damaged kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import engine, layout, reach, tool
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.faults import Faults
from firmware.known_hosts import KnownHosts
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
SECONDS = 120.0
BLOCK_SECTORS = 8


def sector_of(card: Path, path: str) -> int:
    """The sector of the card in which the middle of a file of slot A stands."""
    place = f"{card}?offset={layout.SLOT_A.offset}"
    blocks = tool.capture([tool.need("debugfs", "e2fsprogs"), "-R", f"blocks {path}", place]).split()
    return layout.SLOT_A.offset // layout.SECTOR_BYTES + int(blocks[len(blocks) // 2]) * BLOCK_SECTORS


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Emulator]:
    """The release image, on."""
    card = tmp_path / "card.img"
    reach.make_card(engine.build(BOARD, Choice().engine), card, KnownHosts(tmp_path / "known_hosts"))
    emulator = Emulator(BOARD, card, tmp_path)
    emulator.start()
    yield emulator
    emulator.stop()


def test_kernel_that_could_not_be_read_is_not_started(machine: Emulator) -> None:
    prompt, card = Prompt(machine), Faults(machine).card
    prompt.run("echo there")
    card.read_error(sector_of(machine.card, "/boot/zImage"), sectors=1, times=1)
    said = prompt.send("boot", r"boot: slot A, attempts(?s:.*?)boot: slot A could not be booted")[0]
    assert "Starting kernel" not in said
    assert card.get("read-error-times") == 0
    machine.wait_console(r"slot A could not be booted(?s:.*?)Starting kernel(?s:.*?)systemd\[1\]: ", SECONDS)
