# SPDX-License-Identifier: MIT
"""Captures: take blocks from the ring, hand each to every sink, give it back when the last has let go of it.

The capture itself is the first user of a record while it hands it out, so a block that no sink wants goes back at once.
Blocks that came back are enqueued in batches by `give_back`, never from inside a sink's call.

No sink holds more than its share of the ring: a quarter of the blocks is the hardware's, the rest is divided by the
sinks. While every sink has room, a block is handed out at once. When no sink has room, all wait: nobody is hurt, and
with rate 0 the source waits too. When some have room and others have not, these are waited for if their policy says so,
and at rate 0 for a while: each may hold the others up for `GRACE_SECONDS`, which come back at `GRACE_SHARE` of the time
that goes by. So readers of one speed get everything, and a slow one costs the others a tenth at most. Then the block
passes it by (`captured.sink`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from captured import abi, record
from captured.errors import RefusedError
from captured.ring import Filled, Ring
from captured.sink import WAIT, Group, Record, Sink

__all__ = ["Captures", "Order", "Record", "Tally"]

_log = logging.getLogger(__name__)
_NOTHING = memoryview(b"")
GRACE_SECONDS = 0.2
GRACE_SHARE = 0.1


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

    def __init__(
        self,
        ring: Ring,
        groups: Sequence[Group],
        clock: Callable[[], int] = time.monotonic_ns,
        budget: int = 0,
    ) -> None:
        """`clock` is CLOCK_MONOTONIC in nanoseconds; `budget` blocks a sink at most, 0: its share of the ring."""
        self._ring = ring
        self._groups = groups
        self._clock = clock
        self.budget = budget
        self._free: list[int] = []
        self._ready: deque[Filled] = deque()  # taken from the ring, not handed out yet
        self._looked = clock()
        self.tally = Tally()
        self.running = False

    @property
    def held_back(self) -> bool:
        """Whether blocks wait for a sink: the ring need not be polled, `pump` must be called when one has let go."""
        return bool(self._ready)

    @property
    def patience(self) -> float | None:
        """Seconds until `pump` must be called even if nothing happens, or None."""
        if not self._ready:
            return None
        return min((sink.grace for sink in self._sinks() if sink.waited_for), default=None)

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
        """End the capture: what was filled before is still delivered, then the end record. Refused when none runs.

        The hardware needs no blocks any more, so every sink has room for all that is left.
        """
        if not self.running:
            raise RefusedError("no capture is running (valid: start one first)")
        self._ring.stop()
        sinks = self._sinks(self._ring.blocks)
        while self.running and (self._ready or self._refill()):
            self._deliver(self._ready.popleft(), sinks)
        if self.running:
            self._end()
        self.give_back()

    def change_ring(self, ring: Ring) -> None:
        """Go on with another ring: a running capture ends, and blocks of the old one that come back are forgotten."""
        self._ready.clear()
        if self.running:
            self._end()
        self._free = []  # records of the old ring keep the old list
        self._ring = ring

    def pump(self) -> None:
        """Hand out what can be: call when the ring polls readable, or a sink has let go."""
        if self.running and (self._ready or self._refill()):
            sinks = self._sinks()
            while self.running and self._ready and self._may_go_on(sinks):
                self._deliver(self._ready.popleft(), sinks)
        self.give_back()

    def give_back(self) -> None:
        """Enqueue the blocks that no sink uses any more."""
        if self._free:
            places = list(self._free)
            self._free.clear()
            self._ring.enqueue(places)

    def _refill(self) -> bool:
        self._ready.extend(self._ring.dequeue())
        return bool(self._ready)

    def _sinks(self, limit: int | None = None) -> list[Sink]:
        sinks = [sink for group in self._groups for sink in group.sinks()]
        if limit is None:
            blocks = self._ring.blocks
            limit = max(1, (blocks - max(1, blocks // 4)) // max(1, len(sinks)))
            limit = min(limit, self.budget or limit)
        for sink in sinks:
            sink.limit = limit
        return sinks

    def _may_go_on(self, sinks: Sequence[Sink]) -> bool:
        """Whether the next block may be handed out now, see the module."""
        now = self._clock()
        seconds, self._looked = (now - self._looked) / 1e9, now
        lacking = [sink for sink in sinks if not sink.has_room]
        some_have_room = len(lacking) < len(sinks)
        for sink in sinks:
            sink.account(seconds, GRACE_SECONDS, GRACE_SHARE)
            sink.waited_for = some_have_room and self.tally.rate == 0 and not (sink.has_room or sink.behind)
        if not lacking:
            return True
        return some_have_room and not any(sink.waited_for or sink.policy == WAIT for sink in lacking)

    def _deliver(self, filled: Filled, sinks: Sequence[Sink]) -> None:
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
        place, free = filled.place, self._free
        item = Record(header, self._ring.memory[at : at + size], lambda: free.append(place))
        for sink in sinks:
            if not sink.open:
                continue
            if sink.has_room:
                sink.give(item)
            else:
                sink.skip(item)
        item.release()
        if tally.bytes_taken == tally.bytes_wanted:
            self._ring.stop()
            self._free.extend(left.place for left in self._ready)  # behind the bytes that were asked for
            self._ready.clear()
            self._end()

    def _end(self) -> None:
        self.running = False
        tally = self.tally
        header = record.Header(record.FLAG_END, 0, tally.blocks_taken, self._clock(), tally.lost_bytes, tally.capture)
        item = Record(header, _NOTHING)
        for sink in self._sinks():
            sink.give(item)
        item.release()
        _log.info("capture %d ends: %d bytes", tally.capture, tally.bytes_taken, extra={"fields": asdict(tally)})

    def status(self) -> dict[str, object]:
        """The tally of the latest capture, and the driver's own counters."""
        return {**asdict(self.tally), "ring": self._ring.statistics()._asdict()}
