# SPDX-License-Identifier: MIT
"""The fabric's registers, driven through tests/emulated/qtest.py, as a driver drives them.

Registers: docs/interfaces.md, "Fabric registers", and Embedded Peripherals IP User Guide, "Modular Scatter-Gather DMA
Core". Bytes and nanoseconds of virtual time throughout.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from firmware.board import BRIDGE_BASE, Window
from firmware.board import Msgdma as Place
from tests.emulated.qtest import Machine

MEMORY = 0x1000_0000  # somewhere in the SDRAM
SECOND = 1_000_000_000
BYTES_PER_SECOND = 400_000_000  # of an mSGDMA's masters, unless its property says otherwise

BUSY, NO_DESCRIPTORS, FULL, NO_RESPONSES, RESPONSES_FULL = (1 << bit for bit in range(5))
STOPPED, RESETTING, STOPPED_ON_ERROR, STOPPED_ON_EARLY, IRQ = (1 << bit for bit in range(5, 10))
IDLE = NO_DESCRIPTORS | NO_RESPONSES

STOP, RESET, STOP_ON_ERROR, STOP_ON_EARLY, IRQ_ENABLE, STOP_DESCRIPTORS = (1 << bit for bit in range(6))

PARK_READS, PARK_WRITES, END_ON_EOP, END_ON_LENGTH, IRQ_DONE, IRQ_EARLY = (1 << bit for bit in range(10, 16))
IRQ_ERRORS = 0xFF << 16
GO = 1 << 31

GAP, EARLY = 1 << 0, 1 << 8

COUNTER, PRBS31, RAMP = 0, 1, 2


def duration(count: int) -> int:
    """Nanoseconds that the masters take for `count` bytes, rounded up."""
    return -(-count * SECOND // BYTES_PER_SECOND) + 1


def counter(first: int, count: int) -> bytes:
    """`count` words of the pattern "counter" from the word `first` on."""
    return struct.pack(f"<{count}I", *range(first, first + count))


def word(machine: Machine, window: Window, offset: int) -> int:
    """A register."""
    return machine.readl(BRIDGE_BASE + window.offset + offset)


def put(machine: Machine, window: Window, offset: int, value: int) -> None:
    """Write a register."""
    machine.writel(BRIDGE_BASE + window.offset + offset, value)


@dataclass
class Dma:
    """An mSGDMA: its place, and what is written to it."""

    machine: Machine
    place: Place

    @property
    def status(self) -> int:
        """STATUS."""
        return word(self.machine, self.place.csr, 0x0)

    @property
    def control(self) -> int:
        """CONTROL."""
        return word(self.machine, self.place.csr, 0x4)

    @property
    def fill(self) -> tuple[int, int]:
        """Descriptors in the FIFO: (write side, read side)."""
        both = word(self.machine, self.place.csr, 0x8)
        return both >> 16, both & 0xFFFF

    @property
    def responses(self) -> int:
        """Responses in the FIFO."""
        return word(self.machine, self.place.csr, 0xC)

    @property
    def sequence(self) -> tuple[int, int]:
        """Number of the descriptor issued last: (write side, read side)."""
        both = word(self.machine, self.place.csr, 0x10)
        return both >> 16, both & 0xFFFF

    @property
    def interrupt(self) -> bool:
        """Is its line high?"""
        return self.machine.raised(self.place.spi)

    @property
    def interrupts(self) -> int:
        """How often its line has been raised."""
        return self.machine.edges.get(self.place.spi, 0)

    def set(self, control: int) -> None:
        """Write CONTROL."""
        put(self.machine, self.place.csr, 0x4, control)

    def clear_interrupt(self) -> None:
        """Clear the status bit."""
        put(self.machine, self.place.csr, 0x0, IRQ)

    def queue(self, to: int, length: int, control: int = IRQ_DONE, source: int = 0, sequence: int = 0) -> None:
        """Write an extended descriptor; its burst and stride fields are what Linux writes."""
        words = (source, to, length, sequence, 0x00010001, source >> 32, to >> 32, control | GO)
        base = BRIDGE_BASE + self.place.descriptor.offset
        self.machine.commands(
            [f"writel {base + 4 * place:#x} {value & 0xFFFFFFFF:#x}" for place, value in enumerate(words)]
        )

    def response(self) -> tuple[int, int]:
        """Take a response: (bytes, status)."""
        count = word(self.machine, self.place.response, 0x0)
        return count, word(self.machine, self.place.response, 0x4)


@dataclass
class Generator:
    """The capture source."""

    machine: Machine
    window: Window

    def start(self, pattern: int = COUNTER, rate: int = 0, frame: int = 0, mute: bool = False) -> None:
        """From the beginning."""
        put(self.machine, self.window, 0x00, 0x2)
        put(self.machine, self.window, 0x08, pattern)
        put(self.machine, self.window, 0x0C, rate)
        put(self.machine, self.window, 0x28, frame)
        put(self.machine, self.window, 0x00, 0x5 if mute else 0x1)

    def stop(self) -> None:
        """RUN off."""
        put(self.machine, self.window, 0x00, 0x0)

    @property
    def overflowed(self) -> bool:
        """Were words lost since the start?"""
        return bool(word(self.machine, self.window, 0x04) & 2)

    @property
    def fifo(self) -> tuple[int, int]:
        """Bytes: (depth, level)."""
        return word(self.machine, self.window, 0x10), word(self.machine, self.window, 0x14)

    @property
    def lost(self) -> int:
        """Bytes lost since the start."""
        low = word(self.machine, self.window, 0x18)
        return low | word(self.machine, self.window, 0x1C) << 32

    @property
    def produced(self) -> int:
        """Bytes generated since the start, lost ones included."""
        low = word(self.machine, self.window, 0x20)
        return low | word(self.machine, self.window, 0x24) << 32
