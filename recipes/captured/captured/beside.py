# SPDX-License-Identifier: MIT
"""What is done beside the writing, so that the card need not wait for it: checksums, giving back, syncs.

A `Follower` goes through the blocks behind the recorder, in a thread of its own: it takes each into the checksum, then
gives it back to the ring. So the next block is on its way to the card before the last one is summed up and freed.

A `Syncer` syncs in another thread, one sync at a time, while more is being written. It begins when half of the window
(`disk.sync_bytes`, `disk.sync_seconds`) is full and is waited for when all of it is: what a power cut may cost stays
within the window.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from captured.config import Disk

if TYPE_CHECKING:
    import hashlib

LAG_BLOCKS = 2  # by which the checksum may be behind: a quick card waits for it, the ring is not held for it


class Follower:
    """Checksums and gives back, in the order of the calls; data stays as it is until what is `after` it is called."""

    def __init__(self) -> None:
        """No checksum yet: `restart`."""
        self._pool = ThreadPoolExecutor(1, "checksum")
        self._pending: deque[Future[None]] = deque()
        self._hash: hashlib._Hash | None = None

    def restart(self, checksum: bool) -> None:
        """A new file begins: take its SHA-256, or none."""
        import hashlib  # loads OpenSSL: not before something is recorded, and not in the service's loop

        self._hash = hashlib.sha256() if checksum else None

    def update(self, data: memoryview) -> None:
        """Begin to take in `data`; waits while more than `LAG_BLOCKS` before it are not taken in."""
        if self._hash is None:
            return
        self._pending.append(self._pool.submit(self._hash.update, data))
        while len(self._pending) > LAG_BLOCKS:
            self._pending.popleft().result()

    def after(self, done: Callable[[], None]) -> None:
        """Call `done` when all that was handed over is taken in, in the follower's thread."""
        self._pool.submit(done)

    def digest(self) -> str | None:
        """The sum of all since `restart`, as soon as it is there; None: there is none to take."""
        while self._pending:
            self._pending.popleft().result()
        return self._hash.hexdigest() if self._hash else None

    def close(self) -> None:
        """When all is done; the thread ends."""
        self._pool.shutdown()


class Syncer:
    """Syncs when it is time. `safe`: bytes that are on the medium; `failed`: of those behind them nothing is known.

    A sync that failed must not be tried again: the kernel reports an error once, then says that all is well
    (fsync(2), "NOTES").
    """

    def __init__(self, config: Disk, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is written yet; `clock` gives seconds that no one steps."""
        self._bytes, self._seconds = config.sync_bytes, config.sync_seconds
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, "sync")
        self._pending: Future[None] | None = None
        self._mark = 0, clock()  # what the pending sync makes safe, and when it began
        self.safe = 0
        self.failed = False
        self._safe_at = clock()

    def settle(self, written: int) -> None:
        """All that is written is on the medium by now, or there is nothing to sync yet."""
        self.safe, self._safe_at = written, self._clock()

    def look(self, written: int, order: Callable[[], Callable[[], None]]) -> None:
        """So much is written: begin a sync if it is time, wait if it is late. `order` makes it. Raises OSError."""
        if self._pending is not None and (self._pending.done() or self._full(written, 1)):
            self.wait()
        if self._pending is None and written > self.safe and self._full(written, 2):
            self._mark = written, self._clock()
            self._pending = self._pool.submit(order())

    def _full(self, written: int, parts: int) -> bool:
        late = (self._clock() - self._safe_at) * parts >= self._seconds
        return late or (written - self.safe) * parts >= self._bytes

    def wait(self) -> None:
        """For the sync that was begun, if any. Raises OSError: it failed."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            pending.result()
        except OSError:
            self.failed = True
            raise
        self.safe, self._safe_at = self._mark

    def close(self) -> None:
        """When all is done; the thread ends."""
        self._pool.shutdown()
