# SPDX-License-Identifier: MIT
"""The FPGA manager: the load sequence, and what goes wrong in it (U-Boot's and Linux's drivers do the same)."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware import fpga, overlay
from tests.emulated import qtest

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
STAT, CTRL, DCLKCNT, PINS = (0xFF706000 + offset for offset in (0x0, 0x4, 0x8, 0x850))
DATA = 0xFFB90000
SYSID = 0xFF200000 + BOARD.fabric.sysid.offset
EN, NCONFIG, AXICFGEN, X8, WIDTH_32 = 1 << 0, 1 << 2, 1 << 8, 3 << 6, 1 << 9
NSTATUS, CONF_DONE, INIT_DONE = 1 << 0, 1 << 1, 1 << 2
RESET, CONFIG, INIT, USER = 1, 2, 3, 4
BITSTREAM_SPI = 175
CHUNK = 4096


def mode(machine: qtest.Machine) -> int:
    return machine.readl(STAT) & 7


def begin(machine: qtest.Machine, control: int) -> None:
    """nCONFIG, and the port on."""
    machine.writel(CTRL, EN | control | NCONFIG)
    machine.writel(CTRL, EN | control)
    machine.writel(CTRL, EN | control | AXICFGEN)


def give(machine: qtest.Machine, content: bytes) -> None:
    """Words of a bitstream."""
    chunks = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
    machine.commands([f"write {DATA:#x} {len(chunk):#x} 0x{chunk.hex()}" for chunk in chunks])


def load(machine: qtest.Machine, size: int, control: int = X8 | WIDTH_32) -> None:
    """nCONFIG, then the first `size` bytes of the emulated board's own bitstream."""
    begin(machine, control)
    give(machine, overlay.stand_in(BOARD.fabric.id)[:size])


def compressed(part: fpga.Part, memory: bytes) -> bytes:
    """A bitstream of `part` as Quartus compresses it: `memory`, then zeros; it has no real checksums."""
    head, tail = bytes([0xFF] * part.head_bytes), bytes(fpga.TAIL_BYTES)
    pairs = (part.raw_bytes - len(head) - len(tail)) // 2
    nibbles: list[int] = []
    for at in range(0, len(memory), 2):
        values = [memory[at] & 15, memory[at] >> 4, memory[at + 1] & 15, memory[at + 1] >> 4]
        nibbles += [sum(1 << n for n, value in enumerate(values) if value), *filter(None, values)]
    nibbles += [0] * (pairs - len(memory) // 2)
    nibbles += [15] * (len(nibbles) % 2)
    return head + bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True)) + tail


def start(machine: qtest.Machine) -> None:
    machine.writel(DCLKCNT, 4)
    machine.writel(DCLKCNT, 0x5000)


def test_truncated_bitstream_never_gets_conf_done(machine: qtest.Machine) -> None:
    load(machine, overlay.BITSTREAM_BYTES - 4)
    assert machine.readl(PINS) & (NSTATUS | CONF_DONE) == NSTATUS
    start(machine)
    assert mode(machine) == CONFIG
    assert machine.readl(SYSID) == 0


def test_load_that_is_given_up_half_way_can_be_started_over(machine: qtest.Machine) -> None:
    load(machine, overlay.BITSTREAM_BYTES // 2)
    load(machine, overlay.BITSTREAM_BYTES // 2)  # the halves do not add up
    assert not machine.readl(PINS) & CONF_DONE
    load(machine, overlay.BITSTREAM_BYTES)
    assert machine.readl(PINS) & CONF_DONE


@pytest.mark.parametrize("control", [X8, WIDTH_32, 0], ids=["16 bits wide", "clock ratio 1", "both"])
def test_driver_that_does_not_follow_msel_gets_an_error(machine: qtest.Machine, control: int) -> None:
    load(machine, 4, control)
    assert machine.readl(PINS) & (NSTATUS | CONF_DONE) == 0
    start(machine)
    assert mode(machine) == CONFIG
    load(machine, overlay.BITSTREAM_BYTES)
    assert machine.readl(PINS) & CONF_DONE


def test_fpga_whose_msel_says_active_serial_is_deaf(tmp_path: Path) -> None:
    with qtest.powered(BOARD, tmp_path, cyclone5_fpgamgr__msel=str(0x12)) as machine:
        assert machine.readl(STAT) >> 3 == 0x12
        load(machine, overlay.BITSTREAM_BYTES)
        assert not machine.readl(PINS) & CONF_DONE


@pytest.mark.parametrize("memory", [b"", bytes(range(256)), b"\x10\x00" * 333], ids=["empty", "all", "odd"])
def test_truncated_compressed_bitstream_never_gets_conf_done(machine: qtest.Machine, memory: bytes) -> None:
    content = compressed(fpga.PARTS[BOARD.fpga], memory)
    content += bytes(-len(content) % 4)
    assert len(content) > overlay.BITSTREAM_BYTES
    for missing in (len(content) // 2, fpga.TAIL_BYTES, 4):
        begin(machine, X8 | WIDTH_32)
        give(machine, content[:-missing])
        assert not machine.readl(PINS) & CONF_DONE
        start(machine)
        assert mode(machine) == CONFIG
    give(machine, content[-4:])
    assert machine.readl(PINS) & CONF_DONE


def test_uncompressed_bitstream_of_the_compressed_size_is_truncated(tmp_path: Path) -> None:
    with qtest.powered(BOARD, tmp_path, cyclone5_fpgamgr__msel="8") as machine:
        load(machine, overlay.BITSTREAM_BYTES, WIDTH_32)
        assert not machine.readl(PINS) & CONF_DONE


def test_uncompressed_bitstream_is_whole_with_the_size_of_the_part(tmp_path: Path) -> None:
    content = bytes([0xFF]) * fpga.PARTS[BOARD.fpga].raw_bytes
    assert len(content) % 4 == 0
    with qtest.powered(BOARD, tmp_path, cyclone5_fpgamgr__msel="8") as machine:
        begin(machine, WIDTH_32)
        give(machine, content[:-4])
        assert not machine.readl(PINS) & CONF_DONE
        give(machine, content[-4:])
        assert machine.readl(PINS) & CONF_DONE


def test_phases_of_a_good_load_and_the_fabric_in_them(machine: qtest.Machine) -> None:
    assert machine.readl(SYSID) == BOARD.fabric.id  # as after -kernel
    machine.writel(CTRL, EN | X8 | WIDTH_32 | NCONFIG)
    assert (mode(machine), machine.readl(PINS) & (NSTATUS | INIT_DONE)) == (RESET, 0)
    assert machine.readl(SYSID) == 0  # nothing answers
    load(machine, overlay.BITSTREAM_BYTES)
    assert mode(machine) == CONFIG
    machine.writel(DCLKCNT, 4)
    assert mode(machine) == INIT
    assert machine.readl(SYSID) == 0
    machine.writel(DCLKCNT, 0x5000)
    assert (mode(machine), machine.readl(PINS) & INIT_DONE) == (USER, INIT_DONE)
    assert machine.readl(SYSID) == BOARD.fabric.id


def test_fabric_that_is_configured_anew_has_forgotten_its_registers(machine: qtest.Machine) -> None:
    rate = 0xFF200000 + BOARD.fabric.source.offset + 0xC
    machine.writel(rate, 1_000_000)
    assert machine.readl(rate) == 1_000_000
    load(machine, overlay.BITSTREAM_BYTES)
    start(machine)
    assert machine.readl(rate) != 1_000_000


def test_data_counts_only_while_the_port_is_on(machine: qtest.Machine) -> None:
    machine.writel(CTRL, EN | X8 | WIDTH_32 | NCONFIG)
    machine.writel(CTRL, EN | X8 | WIDTH_32)
    machine.commands([f"writel {DATA:#x} 0"] * (overlay.BITSTREAM_BYTES // 4))
    assert not machine.readl(PINS) & CONF_DONE


def test_end_of_the_load_interrupts_who_waits_for_conf_done(machine: qtest.Machine) -> None:
    machine.writel(0xFF706000 + 0x83C, CONF_DONE)  # polarity: high
    machine.writel(0xFF706000 + 0x830, CONF_DONE)
    load(machine, overlay.BITSTREAM_BYTES - 4)
    assert not machine.raised(BITSTREAM_SPI)
    machine.writel(DATA, 0)
    assert machine.raised(BITSTREAM_SPI)
