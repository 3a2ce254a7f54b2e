# SPDX-License-Identifier: MIT
"""The fabric is there only when it is loaded and its bridge is open; whoever touches it otherwise gets a data abort.

At U-Boot's prompt, whose `md` the abort ends (the board resets). tests/emulated/test_u_boot.py has the plain load.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firmware import layout, overlay
from firmware.board import BRIDGE_BASE
from tests.emulated import boot_card
from tests.emulated.boot_card import BOARD, Bare

pytestmark = pytest.mark.emulated

MEMORY = 0x01000000  # free for this test
OFFSET = 10 * layout.MIB  # of the bitstream on the card
SYSID = BRIDGE_BASE + BOARD.fabric.sysid.offset
BETWEEN = BRIDGE_BASE + 0x1000  # no register window


@pytest.fixture(scope="module")
def bitstream() -> bytes:
    return (overlay.build(BOARD) / "fabric.rbf").read_bytes()


@pytest.fixture(scope="module")
def bare(bitstream: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    folder = tmp_path_factory.mktemp("bridge")
    card = boot_card.make(folder / "card.img")
    with card.open("r+b") as stream:
        stream.seek(OFFSET)
        stream.write(bitstream)
    with boot_card.powered(card, folder / "run") as running:
        yield running


def load(bare: Bare, bitstream: bytes) -> None:
    sectors = -(-len(bitstream) // layout.SECTOR_BYTES)
    bare.prompt.run(f"mmc read {MEMORY:x} {OFFSET // layout.SECTOR_BYTES:x} {sectors:x}")
    bare.prompt.run(f"fpga load 0 {MEMORY:x} {len(bitstream):x}")


def aborts(bare: Bare, address: int) -> None:
    """Reading `address` ends in a data abort; U-Boot is back behind it."""
    bare.prompt.send(f"md.l {address:x} 1", "data abort")
    bare.prompt.enter()


def test_not_loaded_and_shut(bare: Bare) -> None:
    aborts(bare, SYSID)


def test_loaded_but_shut(bare: Bare, bitstream: bytes) -> None:
    load(bare, bitstream)
    aborts(bare, SYSID)


def test_loaded_and_open_answers_and_shut_again_does_not(bare: Bare, bitstream: bytes) -> None:
    load(bare, bitstream)
    bare.prompt.run("bridge enable")
    assert f"{BOARD.fabric.id:08x}" in bare.prompt.run(f"md.l {SYSID:x} 1")
    bare.prompt.run("bridge disable")
    aborts(bare, SYSID)


def test_open_but_no_register_there(bare: Bare, bitstream: bytes) -> None:
    load(bare, bitstream)
    bare.prompt.run("bridge enable")
    aborts(bare, BETWEEN)


def test_loading_anew_takes_the_old_fabric_s_state_away(bare: Bare, bitstream: bytes) -> None:
    control = BRIDGE_BASE + BOARD.fabric.msgdma.csr.offset + 4
    load(bare, bitstream)
    bare.prompt.run("bridge enable")
    bare.prompt.run(f"mw.l {control:x} 10")
    assert ": 00000010" in bare.prompt.run(f"md.l {control:x} 1")
    bare.prompt.run("bridge disable")
    load(bare, bitstream)
    bare.prompt.run("bridge enable")
    assert ": 00000000" in bare.prompt.run(f"md.l {control:x} 1")
