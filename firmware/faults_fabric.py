# SPDX-License-Identifier: MIT
"""Faults of the emulated fabric: samples that the source loses, and what its mSGDMAs do wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields

from firmware.errors import UserError
from firmware.faults_device import FOR_GOOD, Device, check

WORD_BYTES = 4
DROP_BYTES_MAX = 1 << 40
FAULT_NS_MAX = 3600 * 1_000_000_000


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

    def flip(self, count: int) -> None:
        """Make the next `count` words with bit 0 inverted: wrong samples, and nothing that says so; 0: no more."""
        check("words to flip", count, 0, FOR_GOOD)
        self.set("flip-words", count)

    @property
    def flipped_words(self) -> int:
        """Words made wrong by `flip` since power-on."""
        return int(self.get("flipped-words"))


@dataclass(frozen=True)
class Injected:
    """What an mSGDMA has done wrong on demand, since power-on."""

    lost_interrupts: int
    delayed_interrupts: int
    failed_descriptors: int
    shortened_descriptors: int
    stalls: int
    stalled_ns: int
    staled_descriptors: int


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

    def leave_stale(self, count: int) -> None:
        """The first 32 bytes that each of the next `count` descriptors writes stay as they were before.

        So looks a cache line that nobody has invalidated: a driver without its sync, which emulation does not show.
        """
        check("descriptors to leave stale", count, 0, FOR_GOOD)
        self.set("stale-descriptors", count)

    def injected(self) -> Injected:
        """How much of it has happened; each number is exact."""
        return Injected(**{field.name: int(self.get(field.name.replace("_", "-"))) for field in fields(Injected)})


class Copier(Msgdma):
    """The mSGDMA that moves from memory to memory, on a board that has one."""

    path = "/machine/fabric/copier"
