# SPDX-License-Identifier: MIT
"""The disk sink: a recording, as a sink of the captures, and the thread that writes it (`captured.recorder`).

The loop puts leases into the thread's queue; they come back behind the checksum, with a write to an event descriptor,
and the loop releases them: counts are changed by the loop only. A disk that is full, read-only or gone ends the
recording with a reason; the capture and all other sinks go on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import re
import selectors
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from captured import partition_recorder, recording, retention
from captured.config import Disk
from captured.errors import RefusedError
from captured.record import FLAG_END
from captured.recorder import Recorder, Source
from captured.sink import Lease, Sink
from captured.writers import WRITERS

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
BENCHMARK = "benchmark.json"
AnyRecorder = Recorder | partition_recorder.PartitionRecorder


class Recording(Sink):
    """One recording, until its capture ends or it is stopped."""

    def __init__(self, name: str, config: Disk, recorder: AnyRecorder, selector: selectors.BaseSelector) -> None:
        """Start the thread."""
        super().__init__(name, config.policy)
        self._recorder = recorder
        self._patience = config.sync_seconds / 2
        self._selector = selector
        self._todo: queue.SimpleQueue[Lease | None] = queue.SimpleQueue()
        self._back: deque[Lease] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = False
        self._ended = False  # by the thread, when it is through
        self.finished = False
        selector.register(self._event, selectors.EVENT_READ, self._on_event)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def open(self) -> bool:
        """See Sink."""
        return not self._closing and not self._recorder.progress.error

    def take(self, lease: Lease) -> None:
        """See Sink."""
        if not self.open:
            lease.release()
            return
        self._todo.put(lease)
        if lease.header.flags & FLAG_END:
            self.end("the capture ended")

    def end(self, reason: str) -> None:
        """See Sink: what it was given is still written."""
        if not self._closing:
            self._closing = True
            _log.info("recording %s: %s", self.name, reason)
            self._todo.put(None)

    def _run(self) -> None:
        try:
            while (lease := self._next()) is not None:
                self._handle(lease)
            if not self._recorder.progress.error:
                self._recorder.finish()
        except OSError as error:
            self._recorder.save(error)
        finally:
            self._recorder.close()
            self._ended = True
            os.eventfd_write(self._event, 1)

    def _next(self) -> Lease | None:
        while True:
            try:
                return self._todo.get(timeout=self._patience)
            except queue.Empty:
                self._look()

    def _look(self) -> None:
        """Nothing came for a while: what did before must not wait for its sync."""
        try:
            if not self._recorder.progress.error:
                self._recorder.look()
        except OSError as error:
            self._recorder.save(error)
            os.eventfd_write(self._event, 1)

    def _handle(self, lease: Lease) -> None:
        try:
            if self._recorder.progress.error:
                return
            if lease.payload:
                self._recorder.write(lease.header, lease.payload)
            elif self.tail_bytes:  # set before the end record was put into the queue
                self._recorder.note_tail(lease.header, self.tail_bytes)
        except OSError as error:
            self._recorder.save(error)
        finally:
            self._recorder.after(partial(self._give_back, lease))

    def _give_back(self, lease: Lease) -> None:
        self._back.append(lease)
        os.eventfd_write(self._event, 1)

    def join(self) -> None:
        """After `end`: wait for the card."""
        self._thread.join()
        if not self.finished:
            self._on_event(0)

    def _on_event(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        while self._back:
            self._back.popleft().release()
        if self._recorder.progress.error and not self._closing:
            self._closing = True
            self._todo.put(None)
        if self._ended:
            self._selector.unregister(self._event)
            self._thread.join()
            os.close(self._event)
            self.finished = True

    def describe(self) -> dict[str, object]:
        """See Sink."""
        return {"kind": "disk", **super().describe(), **vars(self._recorder.progress)}


class DiskSinks:
    """Implements `captured.sink.Group`: at most one recording at a time."""

    def __init__(self, selector: selectors.BaseSelector, config: Disk, board: str) -> None:
        """Repair what an earlier run left, in a thread of its own."""
        self._selector = selector
        self._config = config
        self._board = board
        self._active: Recording | None = None
        self._last: dict[str, object] = {}
        self.repaired: list[str] = []
        self._repair = threading.Thread(target=self._repair_all, args=(config,), name="repair", daemon=True)
        self._repair.start()

    def _repair_all(self, config: Disk) -> None:
        self.repaired += recording.repair(config.folder, config.checksum)
        if config.partition:
            self.repaired += partition_recorder.repair(Path(config.partition))

    def configure(self, config: Disk) -> None:
        """Take over a changed configuration, for recordings to come."""
        self._config = config

    def sinks(self) -> Sequence[Sink]:
        """See Group."""
        return [self._active] if self._active is not None and self._active.open else []

    @property
    def idle(self) -> bool:
        """Whether nothing is being recorded or repaired."""
        self._bury()
        return self._active is None

    def _bury(self) -> None:
        if self._active is not None and self._active.finished:
            self._last = self._active.describe()
            self._active = None

    def begin(self, name: str | None, pattern: str, rate: int, wanted: int | None) -> str:
        """Record from the next block on; the recording's name. Raises RefusedError: one runs, name, folder."""
        self._bury()
        if self._active is not None:
            raise RefusedError(f"recording {self._active.name} is not finished (valid: one at a time)")
        if self._repair.is_alive():
            raise RefusedError("recordings of an earlier run are being repaired (valid: in a moment)")
        made = name or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        if not _NAME.fullmatch(made):
            raise RefusedError(f"name: {made!r:.80} (valid: letters, digits and _.-, at most 64, the first no dot)")
        recorder = self._recorder(made, Source(self._board, pattern, rate, wanted))
        self._active = Recording(made, self._config, recorder, self._selector)
        return made

    def _recorder(self, name: str, source: Source) -> AnyRecorder:
        config = self._config
        if not config.partition:
            self._check_folder()
            return Recorder(config, chosen_writer(config), name, source)
        try:
            return partition_recorder.PartitionRecorder(config, partition_recorder.open_partition(config), name, source)
        except OSError as error:
            raise RefusedError(
                f"{config.partition}: {error.strerror} (valid: a partition that it may write)"
            ) from error

    def _check_folder(self) -> None:
        folder = self._config.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
            free = retention.free_bytes(folder)
        except OSError as error:
            raise RefusedError(f"{folder}: {error.strerror} (valid: a folder that the service may write)") from error
        if free <= self._config.min_free_bytes and self._config.when_full == "stop":
            raise RefusedError(f"{folder}: {free} bytes are free (valid: more than {self._config.min_free_bytes})")

    def stop(self) -> None:
        """End the recording in order. Raises RefusedError: there is none."""
        self._bury()
        if self._active is None:
            raise RefusedError("nothing is being recorded (valid: record first)")
        self._active.end("stopped")

    def describe(self) -> list[dict[str, object]]:
        """The recording, for the status."""
        self._bury()
        return [self._active.describe()] if self._active is not None else []

    def status(self) -> dict[str, object]:
        """Folder, room, the last recording, and what was repaired at the start."""
        try:
            free: int | None = retention.free_bytes(self._config.folder)
        except OSError:
            free = None
        where = {"folder": str(self._config.folder), "free_bytes": free, "partition": self._config.partition or None}
        return {**where, "recording": self._active is not None, "last": self._last, "repaired": self.repaired}

    def close(self) -> None:
        """End what runs, and wait for the card."""
        if self._active is not None:
            self._active.end("the service stops")
            self._active.join()
        self._bury()


def chosen_writer(config: Disk) -> str:
    """The configured writer; `auto`: what `capturectl benchmark-disk --save` found quickest, or direct."""
    if config.writer != "auto":
        return config.writer
    try:
        found = json.loads((config.folder.parent / BENCHMARK).read_text())["quickest"]
    except (OSError, ValueError, KeyError, TypeError):
        return "direct"
    return found if found in WRITERS else "direct"


def benchmark_file(folder: Path) -> Path:
    """Where the benchmark's result is kept."""
    return folder.parent / BENCHMARK
