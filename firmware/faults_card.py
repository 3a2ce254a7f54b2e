# SPDX-License-Identifier: MIT
"""Faults of the emulated SD card: errors, wear, slowness, a pulled card, flipped bits, power cuts at a sector."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from firmware.emulator import locked
from firmware.errors import TargetError
from firmware.faults_device import FOR_GOOD, Device, check
from firmware.layout import SECTOR_BYTES

BLOCK_NS_MAX = 100_000_000  # beyond it the controllers' own timeouts end a transfer


class Card(Device):
    """The SD card and its controller. Sectors have 512 bytes; a fault stays until `heal`, unless it says otherwise."""

    path = "/machine/sdmmc"

    @property
    def sectors(self) -> int:
        """Size of the card."""
        return self._emulator.card.stat().st_size // SECTOR_BYTES

    @property
    def writes(self) -> int:
        """Sectors written (or erased) since power-on."""
        return int(self.get("writes"))

    def cut_power_after(self, sectors: int, torn: bool = False) -> None:
        """Cut the power with the `sectors`-th sector written from now on: the last one that reaches the card.

        `torn`: of that sector the first half is new, the rest as before. QEMU ends at once, with exit status 0: wait
        with `Emulator.wait_off`. A board that shall have it from power-on on takes `power_cut(...)` as options.
        """
        check("sectors until the power cut", sectors, 1, FOR_GOOD - 1)
        self.set("power-cut-torn", torn)
        self.set("power-cut-after", sectors)

    def cut_power(self, timeout: float = 10.0) -> None:
        """Cut the power now; returns when QEMU has ended. TargetError: it has not, within `timeout` seconds."""
        self.get("power-cut-after")  # an error when the board is off already
        with suppress(TargetError):  # there is no answer
            self.set("power-cut", True)
        self._emulator.wait_off(timeout)

    def read_error(self, sector: int, sectors: int | None = None, times: int | None = None) -> None:
        """Reading any of `sectors` (None: all) from `sector` on gives a CRC error, `times` times (None: always)."""
        self._bad("read-error", sector, sectors, times)

    def write_error(self, sector: int, sectors: int | None = None, times: int | None = None) -> None:
        """So does writing; the sector keeps what it had."""
        self._bad("write-error", sector, sectors, times)

    def worn(self, after: int = 0) -> None:
        """The card takes `after` more sectors, and then is read-only."""
        check("sectors until the card is read-only", after, 0, FOR_GOOD - 1)
        self.set("write-limit", after)

    def slow(self, block_ns: int) -> None:
        """A block of data takes `block_ns` nanoseconds of virtual time; 0: no time, as before."""
        check("nanoseconds a block", block_ns, 0, BLOCK_NS_MAX)
        self.set("block-ns", block_ns)

    def pull(self) -> None:
        """Take the card out."""
        self.set("pulled", True)

    def put_back(self) -> None:
        """Put the card in again; it has lost its state, not its data."""
        self.set("pulled", False)

    def flip(self, offset: int, bit: int = 0) -> None:
        """Invert bit 0 to 7 of the card's byte at `offset`. What the board has in memory already is not changed."""
        check("byte of the card", offset, 0, self.sectors * SECTOR_BYTES - 1)
        check("bit of a byte", bit, 0, 7)
        self.set("flip", 8 * offset + bit)

    def heal(self) -> None:
        """Nothing is wrong any more (a flipped bit stays): no power cut, no errors, as much room as before."""
        for name in ("power-cut-after", "read-error-times", "write-error-times", "block-ns"):
            self.set(name, 0)
        self.set("write-limit", FOR_GOOD)
        self.put_back()

    def _bad(self, name: str, sector: int, sectors: int | None, times: int | None) -> None:
        check(f"{name}: sector", sector, 0, self.sectors - 1)
        if sectors is not None:
            check(f"{name}: number of sectors", sectors, 1, self.sectors - sector)
        if times is not None:
            check(f"{name}: times", times, 1, FOR_GOOD - 1)
        self.set(f"{name}-times", 0)
        self.set(f"{name}-first", sector)
        self.set(f"{name}-last", self.sectors - 1 if sectors is None else sector + sectors - 1)
        self.set(f"{name}-times", FOR_GOOD if times is None else times)


def power_cut(sectors: int, torn: bool = False) -> dict[str, str]:
    """Options of `Emulator` that cut the power as `Card.cut_power_after` does, counted from power-on."""
    check("sectors until the power cut", sectors, 1, FOR_GOOD - 1)
    return {
        "cyclone5_sdmmc__power_cut_after": str(sectors),
        "cyclone5_sdmmc__power_cut_torn": "on" if torn else "off",
    }


def flip_bit(card: Path, offset: int, bit: int = 0) -> None:
    """Invert bit 0 to 7 of the byte at `offset` of a card whose board is off."""
    check(f"byte of {card}", offset, 0, card.stat().st_size - 1)
    check("bit of a byte", bit, 0, 7)
    with locked(card), card.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 1 << bit]))
