# SPDX-License-Identifier: MIT
"""Faults of the emulated board, on demand: `Faults(emulator).card.read_error(sector=2048)`.

Each device of the emulated machine has its faults as QOM properties, which take effect at once, while the board runs;
they outlive a reset of the board, but not its power. docs/emulator.md lists them. One class here is one device.
Raises TargetError when the board is off, UserError when a value makes no sense.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from firmware.emulator import Emulator, locked
from firmware.errors import TargetError, UserError
from firmware.layout import SECTOR_BYTES

FOR_GOOD = (1 << 64) - 1
PER_MILLE = 1000
SEED_MAX = (1 << 32) - 1
DELAY_US_MAX = 10_000_000
WORD_BYTES = 4
DROP_BYTES_MAX = 1 << 40
FAULT_NS_MAX = 3600 * 1_000_000_000
BLOCK_NS_MAX = 100_000_000  # beyond it the controllers' own timeouts end a transfer


class Device:
    """One device of the machine: its QOM path and its properties."""

    path = "/machine"

    def __init__(self, emulator: Emulator) -> None:
        """Faults of the running `emulator`."""
        self._emulator = emulator

    def set(self, name: str, value: object) -> None:
        """Set the property `name`."""
        self._emulator.qmp("qom-set", path=self.path, property=name, value=value)

    def get(self, name: str) -> Any:
        """The property `name`."""
        return self._emulator.qmp("qom-get", path=self.path, property=name)


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


def check(what: str, value: int, lowest: int, highest: int) -> None:
    """Raise UserError unless `value` is a number within the range."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise UserError(f"{what}: {value!r} (valid: {lowest} to {highest})")


class Source(Device):
    """The capture source in the fabric."""

    path = "/machine/fabric/source"

    def drop(self, count: int) -> None:
        """Lose the next `count` bytes (whole words) that are generated, as an overflow does; 0: no more.

        What an earlier call has left to lose is forgotten.
        """
        check("bytes to drop", count, 0, DROP_BYTES_MAX)
        if count % WORD_BYTES:
            raise UserError(f"bytes to drop: {count} (valid: a multiple of {WORD_BYTES})")
        self.set("drop-bytes", count)

    @property
    def dropped_bytes(self) -> int:
        """Bytes lost by `drop` since power-on; the source's register LOST counts them, too."""
        return int(self.get("dropped-bytes"))


@dataclass(frozen=True)
class Injected:
    """What an mSGDMA has done wrong on demand, since power-on."""

    lost_interrupts: int
    delayed_interrupts: int
    failed_descriptors: int
    shortened_descriptors: int
    stalls: int
    stalled_ns: int


class Msgdma(Device):
    """The mSGDMA in the fabric. Numbers are of what comes next; 0 forgets what an earlier call has left to do."""

    path = "/machine/fabric/msgdma"

    def lose_interrupts(self, count: int) -> None:
        """The next `count` interrupts do not come: neither the line nor the status bit; the responses do."""
        check("interrupts to lose", count, 0, FOR_GOOD)
        self.set("lose-interrupts", count)

    def delay_interrupts(self, count: int, ns: int) -> None:
        """The next `count` interrupts come `ns` nanoseconds of virtual time late; what follows meanwhile joins them."""
        check("interrupts to delay", count, 0, FOR_GOOD)
        check("delay in nanoseconds", ns, 0, FAULT_NS_MAX)
        self.set("delay-ns", ns)
        self.set("delay-interrupts", count)

    def fail(self, count: int, bits: int = 0x80) -> None:
        """The next `count` descriptors to complete have error `bits` in their response, besides their own.

        Bit 0 is the source's mark of a gap (docs/interfaces.md); the others mean nothing to it.
        """
        check("descriptors to fail", count, 0, FOR_GOOD)
        check("error bits", bits, 1, 0xFF)
        self.set("fail-bits", bits)
        self.set("fail-descriptors", count)

    def shorten(self, count: int, length: int) -> None:
        """The next `count` descriptors longer than `length` bytes end there, as if a packet had ended.

        Nothing is lost: the next descriptor goes on with the next byte.
        """
        check("descriptors to shorten", count, 0, FOR_GOOD)
        check("bytes", length, WORD_BYTES, 0xFFFFFFFC)
        if length % WORD_BYTES:
            raise UserError(f"bytes: {length} (valid: a multiple of {WORD_BYTES})")
        self.set("shorten-bytes", length)
        self.set("shorten-descriptors", count)

    def stall(self, ns: int) -> None:
        """Move nothing for `ns` nanoseconds of virtual time from now; 0: go on. The source's FIFO fills meanwhile."""
        check("stall in nanoseconds", ns, 0, FAULT_NS_MAX)
        self.set("stall-ns", ns)

    def injected(self) -> Injected:
        """How much of it has happened; each number is exact."""
        return Injected(**{field.name: int(self.get(field.name.replace("_", "-"))) for field in fields(Injected)})


class Copier(Msgdma):
    """The mSGDMA that moves from memory to memory, on a board that has one."""

    path = "/machine/fabric/copier"


class Network(Device):
    """The Ethernet controller and its cable. Rates are per mille of the frames, chosen by a seeded generator."""

    path = "/machine/emac"

    def unplug(self) -> None:
        """Pull the cable: the PHY loses its link, nothing comes or goes."""
        self.set("cable", False)

    def plug(self) -> None:
        """Put the cable in again."""
        self.set("cable", True)

    def lose(self, sent: int = 0, received: int = 0, seed: int = 1) -> None:
        """Lose frames on the wire, each way; the counts start over. Equal traffic and seed give equal losses."""
        self._rates({"loss-tx": sent, "loss-rx": received}, seed)

    def corrupt(self, received: int, seed: int = 1) -> None:
        """Let received frames have a bad checksum (FCS): the controller counts and drops them; counts start over."""
        self._rates({"corrupt-rx": received}, seed)

    def delay(self, microseconds: int) -> None:
        """A received frame is under way for so long, of virtual time."""
        check("microseconds of delay", microseconds, 0, DELAY_US_MAX)
        self.set("delay-rx", microseconds)

    def merge_acks(self, merge: bool) -> None:
        """Whether acknowledgements to a burst are joined (docs/emulator.md); never while frames are lost."""
        self.set("merge-acks", merge)

    @property
    def lost(self) -> tuple[int, int]:
        """Frames that were lost: sent, received. Those of an unplugged cable are among them."""
        return int(self.get("lost-tx")), int(self.get("lost-rx"))

    @property
    def corrupted(self) -> int:
        """Received frames that were given a bad checksum."""
        return int(self.get("corrupted-rx"))

    def heal(self) -> None:
        """Nothing is wrong any more; the counts stay."""
        for name in ("loss-tx", "loss-rx", "corrupt-rx", "delay-rx"):
            self.set(name, 0)
        self.merge_acks(True)
        self.plug()

    def _rates(self, rates: dict[str, int], seed: int) -> None:
        check("seed", seed, 0, SEED_MAX)
        for name, rate in rates.items():
            check(f"{name}, per mille", rate, 0, PER_MILLE)
        self.set("seed", seed)
        for name, rate in rates.items():
            self.set(name, rate)


class Processor(Device):
    """The two CPUs."""

    path = "/machine/processor"

    def hang(self) -> None:
        """Stop both CPUs; time and devices go on. A reset of the board (a watchdog's, above all) ends it."""
        self.set("hang", True)

    def recover(self) -> None:
        """Let them go on where they stopped."""
        self.set("hang", False)

    @property
    def hangs(self) -> bool:
        """Whether they are stopped."""
        return bool(self.get("hang"))

    @property
    def halted(self) -> bool:
        """Whether the software has ended for good (Linux's halt and power-off do): the board needs a reset."""
        return bool(self.get("halted"))


class Watchdog(Device):
    """The first watchdog, L4WD0, which guards the board from U-Boot on: to look at, there is nothing to break."""

    path = "/machine/wdt[0]"

    @property
    def bites(self) -> int:
        """How often it has reset the board since power-on."""
        return int(self.get("bites"))

    @property
    def last_bite(self) -> int:
        """When it did so last, in nanoseconds of virtual time."""
        return int(self.get("last-bite"))

    @property
    def deadline(self) -> int:
        """When it will, unless it is petted, in nanoseconds of virtual time; 0: it does not count."""
        return int(self.get("deadline"))


class Faults:
    """All faults of one emulated board, by device."""

    def __init__(self, emulator: Emulator) -> None:
        """Nothing is changed yet."""
        self.card = Card(emulator)
        self.source = Source(emulator)
        self.msgdma = Msgdma(emulator)
        self.copier = Copier(emulator)
        self.network = Network(emulator)
        self.processor = Processor(emulator)
        self.watchdog = Watchdog(emulator)
