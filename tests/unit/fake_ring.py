# SPDX-License-Identifier: MIT
# ruff: noqa: D102, D107  # the methods of captured.ring.Ring
"""A ring without hardware: anonymous memory, an eventfd to poll, and a source that fills every free block at once.

The source knows the fabric's patterns, stays in step over drops that a test injects with `lose`, and checks the
contract: a block is enqueued once, and only when it was dequeued.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from captured import abi, record
from captured.ring import Filled, Ring, Statistics


def prbs31() -> Iterator[int]:
    """Words of the sequence, bit by bit, straight from its definition."""
    bits = deque([1] * 31, maxlen=31)
    while True:
        word = 0
        for _ in range(32):
            new = bits[-28] ^ bits[-31]
            bits.append(new)
            word = word << 1 | new
        yield word


def counter() -> Iterator[int]:
    """Words 0, 1, 2, ... modulo 2^32."""
    word = 0
    while True:
        yield word
        word = (word + 1) % (1 << 32)


def words(source: Iterator[int], count: int) -> npt.NDArray[np.uint32]:
    """The next `count` words as they lie in memory."""
    return np.fromiter((next(source) for _ in range(count)), dtype="<u4", count=count)


class FakeRing(Ring):
    """Blocks go FREE -> DONE -> USER -> FREE; the DMA is quick."""

    def __init__(self, block_bytes: int = 4096, blocks: int = 8) -> None:
        self.block_bytes = block_bytes
        self.blocks = blocks
        self.fabric_id = 0xCC5A0001
        self._map = mmap.mmap(-1, block_bytes * blocks)
        self.memory = memoryview(self._map).toreadonly()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.free = deque(range(blocks))
        self.done: deque[Filled] = deque()
        self.user: set[int] = set()
        self.running = False
        self.started: list[tuple[int, int]] = []
        self.paused = False
        self._lose = 0
        self._counters = [0, 0, 0, 0]

    def fileno(self) -> int:
        return self._event

    def start(self, pattern: int, rate: int) -> None:
        assert not self.running
        self.started.append((pattern, rate))
        self.running = True
        self._source = counter() if pattern == abi.PATTERNS["counter"] else prbs31()
        self._sequence = 0
        self._counters = [0, 0, 0, 0]
        self.free.extend(filled.place for filled in self.done)
        self.done.clear()
        self.fill()

    def stop(self) -> None:
        self.running = False

    def lose(self, words_lost: int) -> None:
        """Drop so many words in the middle of the next block that is filled."""
        self._lose = words_lost

    def fill(self) -> None:
        """Fill every free block."""
        while self.running and self.free and not self.paused:
            place = self.free.popleft()
            count = self.block_bytes // 4
            lost, self._lose = self._lose, 0
            data = words(self._source, count // 2)
            words(self._source, lost)
            data = np.concatenate((data, words(self._source, count - count // 2)))
            at = place * self.block_bytes
            self._map[at : at + self.block_bytes] = data.tobytes()
            flags = record.FLAG_GAP if lost else 0
            self.done.append(Filled(place, flags, self.block_bytes, self._sequence, self._sequence * 1000, lost * 4))
            self._sequence += 1
            for at, more in enumerate((1, self.block_bytes, lost * 4, bool(lost))):
                self._counters[at] += more
        self._signal()

    def _signal(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        if self.done:
            os.eventfd_write(self._event, 1)

    def dequeue(self) -> list[Filled]:
        batch = [self.done.popleft() for _ in range(min(abi.BATCH, len(self.done)))]
        self.user |= {filled.place for filled in batch}
        self._signal()
        return batch

    def enqueue(self, places: Sequence[int]) -> None:
        assert len(set(places)) == len(places)
        assert set(places) <= self.user
        self.user -= set(places)
        self.free.extend(places)
        self.fill()

    def statistics(self) -> Statistics:
        filled, size, lost, gaps = self._counters
        return Statistics(filled, size, lost, gaps, 0, len(self.free), 0, len(self.done), len(self.user))

    def close(self) -> None:
        os.close(self._event)
