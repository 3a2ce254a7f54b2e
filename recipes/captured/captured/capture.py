# SPDX-License-Identifier: MIT
"""Captures: take blocks from the ring, hand each to every sink, give it back when the last has let go of it.

A `Record` counts its users. The capture itself is the first while it hands the record out, so a block that no sink
wants goes back at once. Blocks that came back are enqueued in batches by `give_back`, never from inside a sink's call.
Backpressure needs no code: blocks that a sink still holds are not in the ring; with rate 0 the source then waits, else
the driver counts what is lost and the next header says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from captured import abi, record
from captured.errors import RefusedError
from captured.ring import Filled, Ring

_log = logging.getLogger(__name__)
_NOTHING = memoryview(b"")


class Record:
    """A header and a payload that lies in the ring, shared by the sinks."""

    __slots__ = ("_done", "_users", "header", "payload")

    def __init__(self, header: bytes, payload: memoryview, done: Callable[[], None] | None = None) -> None:
        """`done` is called once, when the last user has released the record; its maker is the first user."""
        self.header = header
        self.payload = payload
        self._users = 1
        self._done = done

    def hold(self) -> None:
        """One more user."""
        self._users += 1

    def release(self) -> None:
        """One user less; the last one makes the block free."""
        self._users -= 1
        if self._users == 0 and self._done is not None:
            self._done()


class Sink(Protocol):
    """Where records go: keeps them with `hold` for as long as it needs their pages."""

    def offer(self, item: Record) -> None:
        """Take `item`, or let it pass. Never blocks, never raises."""


@dataclass(frozen=True)
class Order:
    """What to capture: a pattern, at `rate` bytes a second (0: as fast as taken), `bytes` in all (None: until stop)."""

    pattern: str
    rate: int = 0
    bytes: int | None = None


@dataclass
class Tally:
    """What one capture has delivered: `lost_bytes`, `gaps` and `errors` are those of the records handed out."""

    capture: int = 0
    pattern: str | None = None
    rate: int = 0
    bytes_wanted: int | None = None
    bytes_taken: int = 0
    blocks_taken: int = 0
    lost_bytes: int = 0
    gaps: int = 0
    errors: int = 0


class Captures:
    """One capture at a time, numbered from 1 since the service started. DeviceError passes through every method."""

    def __init__(self, ring: Ring, sinks: Sequence[Sink], clock: Callable[[], int] = time.monotonic_ns) -> None:
        """`clock` is CLOCK_MONOTONIC in nanoseconds, as the driver's time stamps."""
        self._ring = ring
        self._sinks = sinks
        self._clock = clock
        self._free: list[int] = []
        self.tally = Tally()
        self.running = False

    def start(self, order: Order) -> int:
        """Begin a capture; its number. Raises RefusedError while one runs."""
        if self.running:
            raise RefusedError(f"capture {self.tally.capture} is running (valid: stop it first)")
        self.give_back()
        self._ring.start(abi.PATTERNS[order.pattern], order.rate)
        self.tally = Tally(self.tally.capture + 1, order.pattern, order.rate, order.bytes)
        self.running = True
        _log.info("capture %d begins", self.tally.capture, extra={"fields": asdict(self.tally)})
        return self.tally.capture

    def stop(self) -> None:
        """End the capture: what was filled before is still delivered, then the end record. Refused when none runs."""
        if not self.running:
            raise RefusedError("no capture is running (valid: start one first)")
        self._ring.stop()
        while self.running and (batch := self._ring.dequeue()):
            self._take(batch)
        if self.running:
            self._end()
        self.give_back()

    def pump(self) -> None:
        """Take the blocks that wait now: call when the ring polls readable."""
        if self.running:
            self._take(self._ring.dequeue())
        self.give_back()

    def give_back(self) -> None:
        """Enqueue the blocks that no sink uses any more."""
        if self._free:
            free, self._free = self._free, []
            self._ring.enqueue(free)

    def _take(self, batch: Sequence[Filled]) -> None:
        for filled in batch:
            if self.running:
                self._deliver(filled)
            else:
                self._free.append(filled.place)  # behind the bytes that were asked for

    def _deliver(self, filled: Filled) -> None:
        tally = self.tally
        size = filled.bytes
        if tally.bytes_wanted is not None:
            size = min(size, tally.bytes_wanted - tally.bytes_taken)
        tally.bytes_taken += size
        tally.blocks_taken += 1
        tally.lost_bytes += filled.lost_bytes
        tally.gaps += bool(filled.flags & record.FLAG_GAP)
        tally.errors += bool(filled.flags & record.FLAG_ERROR)
        header = record.Header(filled.flags, size, filled.sequence, filled.time_ns, filled.lost_bytes, tally.capture)
        at = filled.place * self._ring.block_bytes
        place, free = filled.place, self._free_block
        self._hand_out(Record(record.pack(header), self._ring.memory[at : at + size], lambda: free(place)))
        if tally.bytes_taken == tally.bytes_wanted:
            self._ring.stop()
            self._end()

    def _end(self) -> None:
        self.running = False
        tally = self.tally
        header = record.Header(record.FLAG_END, 0, tally.blocks_taken, self._clock(), tally.lost_bytes, tally.capture)
        self._hand_out(Record(record.pack(header), _NOTHING))
        _log.info("capture %d ends: %d bytes", tally.capture, tally.bytes_taken, extra={"fields": asdict(tally)})

    def _hand_out(self, item: Record) -> None:
        for sink in self._sinks:
            sink.offer(item)
        item.release()

    def _free_block(self, place: int) -> None:
        self._free.append(place)

    def status(self) -> dict[str, object]:
        """The tally of the latest capture, and the driver's own counters."""
        return {**asdict(self.tally), "ring": self._ring.statistics()._asdict()}
