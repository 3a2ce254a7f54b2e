# SPDX-License-Identifier: MIT
"""The emulated EMAC at its registers, in loopback: address filters, counters, time stamps, the receive watchdog.

Addresses and bits are those of the TRM, "Ethernet Media Access Controller".
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import board as boards
from tests.emulated import qtest

pytestmark = pytest.mark.emulated

EMAC, SPI = 0xFF702000, 120
CONFIG, FILTER, ADDRESS, FAR_ADDRESS, HASH = 0x0000, 0x0004, 0x0040, 0x0800, 0x0500
MMC_CONTROL, TX_FRAMES, RX_FRAMES, RX_MULTICAST, RX_64 = 0x0100, 0x0118, 0x0180, 0x0190, 0x01AC
PTP_CONTROL, PTP_INCREMENT, PTP_SECONDS, PTP_NANOSECONDS = 0x0700, 0x0704, 0x0708, 0x070C
PTP_SECONDS_UPDATE, PTP_NANOSECONDS_UPDATE, PTP_ADDEND = 0x0710, 0x0714, 0x0718
BUS, TX_POLL, RX_BASE, TX_BASE, STATUS, OPERATION = 0x1000, 0x1004, 0x100C, 0x1010, 0x1014, 0x1018
INTERRUPTS, RIWT = 0x101C, 0x1024
LOOPBACK_RUN, LONG_DESCRIPTORS, RUN, RX_DONE = 0x100C, 0x80, 0x02202002, 1 << 6
TX_RING, RX_RING, TX_BUFFER, RX_BUFFER = 0x100000, 0x110000, 0x120000, 0x130000
OWN = 1 << 31
US = 1000
OURS = bytes.fromhex("020000000001")
GROUP = bytes.fromhex("01005e0000fb")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[qtest.Machine]:
    with qtest.powered(boards.load(boards.DEFAULT_BOARD), tmp_path) as running:
        write(running, BUS, LONG_DESCRIPTORS)
        set_address(running, ADDRESS, OURS)
        write(running, RX_BASE, RX_RING)
        write(running, TX_BASE, TX_RING)
        write(running, CONFIG, LOOPBACK_RUN)
        write(running, OPERATION, RUN)
        yield running


def write(machine: qtest.Machine, offset: int, value: int) -> None:
    machine.writel(EMAC + offset, value)


def read(machine: qtest.Machine, offset: int) -> int:
    return machine.readl(EMAC + offset)


def set_address(machine: qtest.Machine, offset: int, address: bytes) -> None:
    write(machine, offset, OWN | int.from_bytes(address[4:], "little"))
    write(machine, offset + 4, int.from_bytes(address[:4], "little"))


def words(machine: qtest.Machine, address: int) -> list[int]:
    raw = machine.read(address, 32)
    return [int.from_bytes(raw[at : at + 4], "little") for at in range(0, 32, 4)]


def send(machine: qtest.Machine, to: bytes, transmit: int = 0, receive: int = 0) -> bool:
    """Send a frame to ourselves; whether it was received. The bits are added to the descriptors' words 0 and 1."""
    frame = to + OURS + b"\x88\xb5" + bytes(46)
    machine.write(TX_BUFFER, frame)
    for ring, des in (
        (RX_RING, [OWN, 2048 | 1 << 15 | receive, RX_BUFFER, 0]),
        (TX_RING, [OWN | 7 << 28 | 1 << 21 | transmit, len(frame), TX_BUFFER, 0]),
    ):
        machine.write(ring, b"".join(word.to_bytes(4, "little") for word in [*des, 0, 0, 0, 0]))
    write(machine, TX_POLL, 1)
    machine.clock_step(20 * US)
    assert not words(machine, TX_RING)[0] & OWN
    return not words(machine, RX_RING)[0] & OWN and machine.read(RX_BUFFER, len(frame)) == frame


def bin_of(address: bytes) -> int:
    """The upper eight bits of the CRC-32, bit-reversed: see Linux's dwmac1000_set_filter."""
    return int(f"{binascii.crc32(address):032b}"[::-1], 2) >> 24


def test_frames_for_others_are_not_received(machine: qtest.Machine) -> None:
    assert not send(machine, bytes.fromhex("020000000002"))
    assert not send(machine, GROUP)
    assert send(machine, OURS)
    assert send(machine, b"\xff" * 6)
    write(machine, FILTER, 1 << 5)
    assert not send(machine, b"\xff" * 6)
    write(machine, FILTER, 1)
    assert send(machine, bytes.fromhex("020000000002"))


def test_further_addresses_near_and_far(machine: qtest.Machine) -> None:
    for offset, last in ((ADDRESS + 8, 3), (ADDRESS + 15 * 8, 4), (FAR_ADDRESS, 5), (FAR_ADDRESS + 111 * 8, 6)):
        address = bytes([2, 0, 0, 0, 0, last])
        assert not send(machine, address)
        set_address(machine, offset, address)
        assert send(machine, address)
        write(machine, offset, int.from_bytes(address[4:], "little"))
        assert not send(machine, address)


def test_multicast_by_hash_or_all_of_it(machine: qtest.Machine) -> None:
    write(machine, FILTER, 1 << 2)
    assert not send(machine, GROUP)
    number = bin_of(GROUP)
    write(machine, HASH + number // 32 * 4, 1 << number % 32)
    assert send(machine, GROUP)
    assert not send(machine, bytes.fromhex("01005e0000fc"))
    write(machine, FILTER, 1 << 4)
    assert send(machine, bytes.fromhex("01005e0000fc"))


def test_counters_count_freeze_and_start_over(machine: qtest.Machine) -> None:
    write(machine, FILTER, 1 << 4)
    for to in (OURS, GROUP, bytes.fromhex("020000000002")):
        send(machine, to)
    assert [read(machine, offset) for offset in (TX_FRAMES, RX_FRAMES, RX_MULTICAST, RX_64)] == [3, 2, 1, 2]
    write(machine, TX_FRAMES, 77)
    assert read(machine, TX_FRAMES) == 3
    write(machine, MMC_CONTROL, 1 << 3)
    send(machine, OURS)
    assert read(machine, TX_FRAMES) == 3
    write(machine, MMC_CONTROL, 1 << 2)
    assert [read(machine, TX_FRAMES), read(machine, TX_FRAMES)] == [3, 0]
    send(machine, OURS)
    write(machine, MMC_CONTROL, 1)
    assert read(machine, TX_FRAMES) == 0


def start_clock(machine: qtest.Machine, control: int, increment: int) -> None:
    write(machine, PTP_CONTROL, control)
    write(machine, PTP_INCREMENT, increment)
    write(machine, PTP_SECONDS_UPDATE, 100)
    write(machine, PTP_NANOSECONDS_UPDATE, 999_999_000)
    write(machine, PTP_CONTROL, control | 1 << 2)


def test_time_is_set_and_runs_by_its_increment(machine: qtest.Machine) -> None:
    start_clock(machine, 0x201, 40)  # digital, coarse: 40 ns a cycle of 25 MHz
    assert (read(machine, PTP_SECONDS), read(machine, PTP_NANOSECONDS)) == (100, 999_999_000)
    machine.clock_step(3 * US)
    assert (read(machine, PTP_SECONDS), read(machine, PTP_NANOSECONDS)) == (101, 2000)
    write(machine, PTP_CONTROL, 0x203)
    write(machine, PTP_INCREMENT, 80)
    write(machine, PTP_ADDEND, 1 << 30)  # every fourth cycle: half speed
    machine.clock_step(160 * US)
    assert (read(machine, PTP_SECONDS), read(machine, PTP_NANOSECONDS)) == (101, 82_000)
    write(machine, PTP_SECONDS_UPDATE, 1)
    write(machine, PTP_NANOSECONDS_UPDATE, OWN | 2000)
    write(machine, PTP_CONTROL, 0x203 | 1 << 3)
    assert (read(machine, PTP_SECONDS), read(machine, PTP_NANOSECONDS)) == (100, 80_000)
    write(machine, PTP_CONTROL, 0x202)
    machine.clock_step(160 * US)
    assert read(machine, PTP_NANOSECONDS) == 80_000


def test_frames_are_stamped_both_ways_when_that_is_asked_for(machine: qtest.Machine) -> None:
    start_clock(machine, 0x201, 40)
    assert send(machine, OURS)
    assert words(machine, TX_RING)[6:] == words(machine, RX_RING)[6:] == [0, 0]
    start_clock(machine, 0x301, 40)  # all received frames
    assert send(machine, OURS, transmit=1 << 25)
    sent, received = words(machine, TX_RING), words(machine, RX_RING)
    assert sent[0] & 1 << 17
    assert received[0] & 1 << 7
    assert sent[6:] == received[6:] == [11_000, 101]  # 12 us on the wire
    start_clock(machine, 0xA01, 40)  # the protocol's own frames only
    assert send(machine, OURS)
    assert not words(machine, RX_RING)[0] & 1 << 7


def test_receive_watchdog_joins_interrupts(machine: qtest.Machine) -> None:
    write(machine, INTERRUPTS, 1 << 16 | RX_DONE)
    write(machine, RIWT, 100)  # 102.4 us
    assert send(machine, OURS, receive=OWN)
    assert not machine.raised(SPI)
    machine.clock_step(120 * US)
    assert machine.raised(SPI)
    write(machine, STATUS, 1 << 16 | RX_DONE)
    assert not machine.raised(SPI)
    assert send(machine, OURS)
    assert machine.raised(SPI)
