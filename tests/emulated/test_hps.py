# SPDX-License-Identifier: MIT
"""The HPS's small devices, register by register: GPIO, I2C with the accelerometer, scan manager, reset manager, USB."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware.errors import TargetError
from tests.emulated import qtest

pytestmark = pytest.mark.emulated

BOARD = boards.load(boards.DEFAULT_BOARD)
GPIO0, GPIO0_SPI, GPIO0_QOM = 0xFF708000, 164, "/machine/gpio[0]"
DR, DDR, INTEN, INTMASK, INTTYPE, POLARITY = (GPIO0 + offset for offset in (0x00, 0x04, 0x30, 0x34, 0x38, 0x3C))
INTSTATUS, RAWSTATUS, EOI, EXT = (GPIO0 + offset for offset in (0x40, 0x44, 0x4C, 0x50))
ALL_PINS = 0x1FFFFFFF
PIN = 1 << 24

I2C, I2C_SPI = {0: 0xFFC04000, 1: 0xFFC05000}, 158
TAR, DATA_CMD, RAW_INTR, CLR_TX_ABRT, ENABLE, STATUS, RXFLR, ABRT_SOURCE = (
    0x04, 0x10, 0x34, 0x54, 0x6C, 0x70, 0x78, 0x80,
)  # fmt: skip
READ, STOP, RESTART = 1 << 8, 1 << 9, 1 << 10
TX_ABRT, STOP_DET = 1 << 6, 1 << 9
ADXL345 = 0x53

SCANMGR = 0xFFF02000
RSTMGR = 0xFFD05000
SYSMGR = 0xFFD08000
USB1 = 0xFFB40000


def set_inputs(machine: qtest.Machine, value: int) -> None:
    machine.qmp("qom-set", path=GPIO0_QOM, property="inputs", value=value)
    machine.readl(EXT)  # an interrupt that QMP has caused is told with the next answer


# ---- GPIO ----


def test_input_pin_that_is_not_there_is_refused(machine: qtest.Machine) -> None:
    with pytest.raises(TargetError, match=r"cyclone5-gpio\.inputs is 0x20000000 \(valid: 29 pins, up to 0x1fffffff\)"):
        set_inputs(machine, 1 << 29)
    assert machine.readl(EXT) == ALL_PINS


def test_led_shows_what_software_drives_and_only_while_it_is_an_output(machine: qtest.Machine) -> None:
    machine.writel(DR, PIN | 1)
    assert machine.qmp("qom-get", path=GPIO0_QOM, property="outputs") == 0
    machine.writel(DDR, PIN)
    assert machine.qmp("qom-get", path=GPIO0_QOM, property="outputs") == PIN
    machine.writel(DR, 0)
    assert machine.readl(EXT) == ALL_PINS & ~PIN
    assert machine.qmp("qom-get", path=GPIO0_QOM, property="outputs") == 0


def test_falling_edge_interrupts_once_until_it_is_acknowledged(machine: qtest.Machine) -> None:
    machine.writel(INTTYPE, PIN)
    machine.writel(INTEN, PIN)
    assert not machine.raised(GPIO0_SPI)
    set_inputs(machine, ALL_PINS & ~PIN)
    assert machine.raised(GPIO0_SPI)
    set_inputs(machine, ALL_PINS)  # the rising edge is the other polarity
    assert machine.raised(GPIO0_SPI)
    assert machine.readl(INTSTATUS) == PIN
    machine.writel(EOI, PIN)
    assert not machine.raised(GPIO0_SPI)
    assert machine.readl(RAWSTATUS) == 0


def test_rising_edge_is_seen_with_the_other_polarity(machine: qtest.Machine) -> None:
    set_inputs(machine, 0)
    machine.writel(INTTYPE, PIN)
    machine.writel(POLARITY, PIN)
    machine.writel(INTEN, PIN)
    assert not machine.raised(GPIO0_SPI)
    set_inputs(machine, PIN)
    assert machine.raised(GPIO0_SPI)


def test_level_interrupts_as_long_as_it_lasts_and_cannot_be_acknowledged(machine: qtest.Machine) -> None:
    machine.writel(INTEN, PIN)
    set_inputs(machine, ALL_PINS & ~PIN)
    machine.writel(EOI, PIN)
    assert machine.raised(GPIO0_SPI)
    set_inputs(machine, ALL_PINS)
    assert not machine.raised(GPIO0_SPI)


def test_masked_interrupt_is_raw_only_and_a_switched_off_one_nothing(machine: qtest.Machine) -> None:
    machine.writel(INTEN, PIN)
    machine.writel(INTMASK, PIN)
    set_inputs(machine, 0)
    assert not machine.raised(GPIO0_SPI)
    assert (machine.readl(RAWSTATUS), machine.readl(INTSTATUS)) == (PIN, 0)
    machine.writel(INTMASK, 0)
    assert machine.raised(GPIO0_SPI)
    machine.writel(INTEN, 0)
    assert not machine.raised(GPIO0_SPI)


def test_switches_outlive_a_reset(machine: qtest.Machine) -> None:
    set_inputs(machine, 0x5)
    machine.qmp("system_reset")
    assert machine.readl(EXT) == 0x5


# ---- I2C and the accelerometer ----


def i2c_write(machine: qtest.Machine, data: list[int], bus: int = 0, address: int = ADXL345) -> None:
    base = I2C[bus]
    machine.writel(base + ENABLE, 0)
    machine.writel(base + TAR, address)
    machine.writel(base + ENABLE, 1)
    for n, byte in enumerate(data):
        machine.writel(base + DATA_CMD, byte | (STOP if n == len(data) - 1 else 0))


def i2c_read(machine: qtest.Machine, register: int, count: int, bus: int = 0) -> bytes:
    base = I2C[bus]
    machine.writel(base + ENABLE, 0)
    machine.writel(base + TAR, ADXL345)
    machine.writel(base + ENABLE, 1)
    machine.writel(base + DATA_CMD, register)
    for n in range(count):
        machine.writel(base + DATA_CMD, READ | (RESTART if n == 0 else 0) | (STOP if n == count - 1 else 0))
    assert machine.readl(base + RXFLR) == count
    return bytes(machine.readl(base + DATA_CMD) for _ in range(count))


def test_address_that_nobody_has_aborts_the_transfer_and_the_bus_works_again(machine: qtest.Machine) -> None:
    i2c_write(machine, [0x00], address=0x12)
    base = I2C[0]
    assert machine.readl(base + RAW_INTR) & (TX_ABRT | STOP_DET) == TX_ABRT | STOP_DET
    assert machine.readl(base + ABRT_SOURCE) == 1
    machine.readl(base + CLR_TX_ABRT)
    assert machine.readl(base + ABRT_SOURCE) == 0
    assert i2c_read(machine, 0x00, 1) == b"\xe5"


def test_abort_interrupts(machine: qtest.Machine) -> None:
    machine.writel(I2C[0] + 0x30, TX_ABRT)
    i2c_write(machine, [0x00], address=0x12)
    assert machine.raised(I2C_SPI)
    machine.readl(I2C[0] + CLR_TX_ABRT)
    assert not machine.raised(I2C_SPI)


def test_accelerometer_keeps_its_settings_but_not_its_identity(machine: qtest.Machine) -> None:
    i2c_write(machine, [0x2D, 0x08])
    i2c_write(machine, [0x00, 0x12])
    assert i2c_read(machine, 0x2D, 1) == b"\x08"
    assert i2c_read(machine, 0x00, 1) == b"\xe5"


def test_accelerometer_shows_how_the_board_lies(machine: qtest.Machine) -> None:
    assert i2c_read(machine, 0x32, 6) == b"\x00\x00\x00\x00\x00\x01"
    machine.qmp("qom-set", path="/machine/adxl345", property="x", value=-2)
    assert i2c_read(machine, 0x32, 6) == b"\xfe\xff\x00\x00\x00\x01"


def test_accelerometer_is_on_the_bus_of_the_board(tmp_path: Path) -> None:
    with qtest.powered(boards.load("sockit"), tmp_path) as machine:
        assert i2c_read(machine, 0x00, 1, bus=1) == b"\xe5"
        i2c_write(machine, [0x00])
        assert machine.readl(I2C[0] + ABRT_SOURCE) == 1


# ---- scan, reset and system manager, USB ----


@pytest.mark.parametrize(
    ("name", "idcode"), [("de0-nano-soc", 0x02D010DD), ("de10-nano", 0x02D020DD), ("sockit", 0x02D020DD)]
)
def test_fpga_has_the_idcode_of_the_board(tmp_path: Path, name: str, idcode: int) -> None:
    with qtest.powered(boards.load(name), tmp_path) as machine:
        assert machine.readl(SCANMGR + 0x1C) == 0
        machine.writel(SCANMGR + 0x4, 1 << 7)
        assert machine.readl(SCANMGR + 0x1C) == idcode


def test_warm_reset_adds_its_cause_and_keeps_the_scratch_word(machine: qtest.Machine) -> None:
    assert machine.readl(RSTMGR) == 1  # power-on
    machine.writel(RSTMGR + 0x54, 0x1234)
    machine.writel(RSTMGR + 0x4, 2)
    machine.qmp("query-status")
    assert machine.readl(RSTMGR) & (1 << 10)
    assert machine.readl(RSTMGR + 0x54) == 0x1234


def test_cold_reset_forgets_the_scratch_word_and_the_causes_before(machine: qtest.Machine) -> None:
    machine.writel(RSTMGR + 0x54, 0x1234)
    machine.writel(RSTMGR + 0x4, 1)
    machine.qmp("query-status")
    assert machine.readl(RSTMGR) == 1 << 4
    assert machine.readl(RSTMGR + 0x54) == 0


def test_usb_answers_words_only(machine: qtest.Machine) -> None:
    assert machine.readl(USB1 + 0x40) >> 16 == 0x4F54  # GSNPSID: "OT"
    assert machine.readw(USB1 + 0x42) == 0
    assert machine.readb(USB1 + 0x101) == 0  # QEMU's own model ends QEMU on this one


# ---- DMA-330 ----

DMA, DMA_SPI = 0xFFE01000, 104
PROGRAM, FROM, TO = 0x10000, 0x20000, 0x30000
WORDS_8 = 1 | 2 << 1 | 7 << 4 | 1 << 14 | 2 << 15 | 7 << 18  # CCR: 8 words a burst, both addresses move
DMAGO, DMALD, DMAST, DMASEV_3, DMAEND = 0xA0, 0x04, 0x08, bytes([0x34, 3 << 3]), 0x00


def dmamov(register: int, value: int) -> bytes:
    """DMAMOV SAR (0), CCR (1) or DAR (2)."""
    return bytes([0xBC, register]) + value.to_bytes(4, "little")


def test_dma330_copies_and_signals_its_event(machine: qtest.Machine) -> None:
    data = bytes(range(100, 132))
    program = dmamov(1, WORDS_8) + dmamov(0, FROM) + dmamov(2, TO) + bytes([DMALD, DMAST]) + DMASEV_3 + bytes([DMAEND])
    machine.write(PROGRAM, program)
    machine.write(FROM, data)
    machine.writel(DMA + 0x20, 1 << 3)  # INTEN: event 3 interrupts
    machine.writel(DMA + 0xD08, DMAGO << 16)  # DBGINST0: the manager starts channel 0 ...
    machine.writel(DMA + 0xD0C, PROGRAM)
    machine.writel(DMA + 0xD04, 0)  # ... now
    machine.clock_step(1_000_000)
    assert machine.read(TO, len(data)) == data
    assert machine.raised(DMA_SPI + 3)
    machine.writel(DMA + 0x2C, 1 << 3)
    assert not machine.raised(DMA_SPI + 3)
