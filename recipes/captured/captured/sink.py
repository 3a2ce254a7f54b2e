# SPDX-License-Identifier: MIT
"""A sink: one place where records go, bounded by the number of blocks that it may hold, with a policy of its own.

A sink that holds as many blocks as its `limit` has no room. What happens then is its policy:

* `wait`: the capture waits for it, and so do all other sinks; nothing is dropped for it.
* `gap`: the block passes it by; its next record has the gap flag and counts the bytes that it did not get.
* `window`: as `gap`, but then it gets nothing until it has let go of everything: whole windows with one gap between.
* `disconnect`: it is ended.

A `Lease` is one sink's share in a record; the block is held until the last lease of its record is released.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from captured import record

WAIT, GAP, WINDOW, DISCONNECT = "wait", "gap", "window", "disconnect"
POLICIES = (WAIT, GAP, WINDOW, DISCONNECT)


class Record:
    """A header and a payload that lies in the ring, shared by the sinks."""

    __slots__ = ("_done", "_users", "header", "packed", "payload")

    def __init__(self, header: record.Header, payload: memoryview, done: Callable[[], None] | None = None) -> None:
        """`done` is called once, when the last user has released the record; its maker is the first user."""
        self.header = header
        self.packed = record.pack(header)
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


class Lease:
    """One sink's share in a record: the header as this sink gets it, and the block, held until `release`."""

    __slots__ = ("_item", "_sink", "_users", "header", "packed", "payload")

    def __init__(self, sink: Sink, item: Record, header: record.Header, packed: bytes) -> None:
        """The sink is its first user."""
        item.hold()
        self._item = item
        self._sink = sink
        self._users = 1
        self.header = header
        self.packed = packed
        self.payload = item.payload

    def hold(self) -> None:
        """One more user within the sink."""
        self._users += 1

    def release(self) -> None:
        """One user less; with the last one the sink has room again."""
        self._users -= 1
        if self._users == 0:
            if self.payload:
                self._sink.let_go()
            self._item.release()


class Sink(ABC):
    """What every sink counts: `held` blocks now; `blocks`, `bytes` taken; `gaps`, `dropped_bytes` passed by."""

    def __init__(self, name: str, policy: str) -> None:
        """`name` is for status and log; `policy` one of POLICIES."""
        self.name = name
        self.policy = policy
        self.limit = 1
        self.held = 0
        self.behind = False  # had no room for so long that the capture goes on without it
        self.waited_for = False  # the others wait for it now
        self.grace = 0.2  # seconds for which they still may
        self.blocks = 0
        self.bytes = 0
        self.gaps = 0
        self.dropped_bytes = 0
        self.tail_bytes = 0  # passed by behind the last record of the capture that ended last
        self._owed_bytes = 0  # passed by since its last record
        self._told_bytes = 0  # passed by, and told in a record's header
        self._joined = False

    @property
    def has_room(self) -> bool:
        """Whether it takes one more block."""
        return self.held < self.limit and not (self.behind and self.policy == WINDOW)

    def let_go(self) -> None:
        """One block less is held."""
        self.held -= 1
        if self.held == 0:
            self.behind = False

    def account(self, seconds: float, most: float, share: float) -> None:
        """So many seconds went by: spend the grace if it was waited for, else earn a `share` of them, up to `most`."""
        if self.waited_for:
            self.grace = max(0.0, self.grace - seconds)
            self.behind = self.behind or self.grace <= 0
            return
        self.grace = min(most, self.grace + seconds * share)
        if self.grace >= most / 2 and self.policy != WINDOW:
            self.behind = False

    def give(self, item: Record) -> None:
        """Hand `item` to the sink, with the gap that it must be told of."""
        header, packed = item.header, item.packed
        if header.flags & record.FLAG_END:
            header, packed = self._its_end(header, packed)
        elif self._owed_bytes:
            lost = header.lost_bytes + self._owed_bytes
            header = header._replace(flags=header.flags | record.FLAG_GAP, lost_bytes=lost)
            packed = record.pack(header)
            self._told_bytes += self._owed_bytes
            self._owed_bytes = 0
        if item.payload:
            self.held += 1
            self.blocks += 1
            self.bytes += len(item.payload)
            self._joined = True
        self.take(Lease(self, item, header, packed))

    def _its_end(self, header: record.Header, packed: bytes) -> tuple[record.Header, bytes]:
        dropped = self._told_bytes + self._owed_bytes
        flags = header.flags | (record.FLAG_GAP if self._owed_bytes else 0)
        self.tail_bytes = self._owed_bytes
        self._told_bytes = self._owed_bytes = 0
        self._joined = False
        if not dropped:
            return header, packed
        header = header._replace(flags=flags, lost_bytes=header.lost_bytes + dropped)
        return header, record.pack(header)

    def skip(self, item: Record) -> None:
        """`item` passes the sink by: it had no room."""
        if self.policy == DISCONNECT:
            self.end("it was too slow, and its policy is to be disconnected")
            return
        self.behind = self.behind or self.policy == WINDOW
        if not self._owed_bytes:
            self.gaps += 1
        self._owed_bytes += len(item.payload) + item.header.lost_bytes
        self.dropped_bytes += len(item.payload)

    def describe(self) -> dict[str, object]:
        """Its counters, for the status."""
        return {
            "name": self.name,
            "policy": self.policy,
            "held": self.held,
            "limit": self.limit,
            "behind": self.behind,
            "blocks": self.blocks,
            "bytes": self.bytes,
            "gaps": self.gaps,
            "dropped_bytes": self.dropped_bytes,
        }

    @property
    @abstractmethod
    def open(self) -> bool:
        """Whether it still takes records."""

    @abstractmethod
    def take(self, lease: Lease) -> None:
        """Take the record; its lease is released when its pages are not needed any more. Never blocks or raises."""

    @abstractmethod
    def end(self, reason: str) -> None:
        """End the sink at once."""


class Group(Protocol):
    """Sinks of one kind."""

    def sinks(self) -> Sequence[Sink]:
        """Those that are open."""
