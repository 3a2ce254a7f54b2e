# SPDX-License-Identifier: MIT
"""A small card that holds U-Boot and nothing else, for tests that need the boot ROM and the prompt, but no Linux.

U-Boot is there a second after power-on. With no slot to boot it resets the board after a while: stop it with
`Prompt`. The environment's two copies are not saved yet (`saveenv` writes them). `powered(make(path), folder)` is a
running board with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware import board as boards
from firmware import layout, uboot
from firmware.emulator import Emulator
from firmware.faults import Faults
from tests.emulated.prompt import Prompt

BOARD = boards.load(boards.DEFAULT_BOARD)
CARD_BYTES = 16 * layout.MIB


def make(path: Path) -> Path:
    """Write the card to `path`: an MBR with the partition of type 0xA2, and U-Boot in it."""
    entry = struct.pack("<8xII", layout.BOOT.offset // 512, layout.BOOT.size // 512)
    entry = entry[:4] + bytes([layout.BOOT.type]) + entry[5:]
    with path.open("wb") as stream:
        stream.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
        stream.seek(layout.BOOT.offset)
        stream.write((uboot.build(BOARD) / uboot.IMAGE).read_bytes())
        stream.truncate(CARD_BYTES)
    return path


@dataclass
class Bare:
    """A board without Linux: the emulator, U-Boot's prompt, and the faults."""

    emulator: Emulator
    prompt: Prompt
    faults: Faults


@contextmanager
def powered(card: Path, folder: Path, **options: str) -> Iterator[Bare]:
    """A board with `card`, on; off behind the block. `options` as in `Emulator`."""
    machine = Emulator(BOARD, card, folder, **options)
    machine.start()
    try:
        yield Bare(machine, Prompt(machine), Faults(machine))
    finally:
        machine.stop()
