# SPDX-License-Identifier: MIT
"""Recording into a partition without a file system (`captured.partition`), and taking recordings out of it again.

Each block is written by one call, its header's page and the ring's own pages, past the page cache; so nothing is copied
and nothing is allocated. There is no rotation: a recording ends at the partition's end, and says so.

Never written to: a partition that is mounted or otherwise in use, and one that holds anything but recordings of ours,
unless the configuration names it in `disk.erase_partition` too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import mmap
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from captured import record, sigmf
from captured.beside import Follower, Syncer
from captured.config import Disk
from captured.errors import RefusedError
from captured.partition import ENTRIES, PAGE, WHOLE, WRITING, Entry, Partition, padded
from captured.record import Header
from captured.recorder import Progress, Recorder, Source, wall_clock
from captured.sigmf import Segment

_log = logging.getLogger(__name__)
_NOTHING = memoryview(b"")


def open_partition(config: Disk) -> Partition:
    """The configured partition, made ready for recordings. Raises RefusedError: it must not be written to."""
    path = config.partition
    try:
        found = Partition(Path(path), writable=True)
    except OSError as error:
        why = "it is in use" if error.errno == errno.EBUSY else error.strerror
        raise RefusedError(f"{path}: {why} (valid: a partition that is not mounted, see docs/service.md)") from error
    try:
        if not found.ours:
            if not found.blank and config.erase_partition != path:
                said = 'a partition of zeros, or one of ours; or erase_partition = "' + path + '" in the configuration'
                raise RefusedError(f"{path}: holds something else (valid: {said})")
            found.make()
        found.load()
        if len(found.entries) >= ENTRIES:
            raise RefusedError(f"{path}: holds {ENTRIES} recordings (valid: fewer: take them out, then erase it)")
    except (OSError, ValueError) as error:
        found.close()
        raise RefusedError(f"{path}: {error}") from error
    except RefusedError:
        found.close()
        raise
    return found


class PartitionRecorder:
    """Writes one recording, as `captured.recorder.Recorder` does. Used by one thread; methods raise OSError."""

    def __init__(
        self, config: Disk, medium: Partition, name: str, source: Source, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is written yet; the recorder owns `medium` from now on."""
        self.progress = Progress(writer="direct")
        self._config = config
        self._medium = medium
        self._what = sigmf.Description(config.datatype, source.board, source.rate, source.pattern)
        self._entry = Entry(_unused(medium, name), padded(medium.free_at), padded(medium.free_at))
        self._entry.place = len(medium.entries)
        self._at = self._entry.at
        self._head = mmap.mmap(-1, PAGE)
        self._follower, self._syncer = Follower(), Syncer(config, clock)
        self._fd = self._open_direct()
        self._begun = False
        self._noted = self._entry  # as it was last written into the index

    def _open_direct(self) -> int:
        try:
            return os.open(self._medium.path, os.O_RDWR | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self.progress.writer = "buffered"
            return os.open(self._medium.path, os.O_RDWR | os.O_CLOEXEC)

    def write(self, header: Header, data: memoryview) -> None:
        """Append one block."""
        size = PAGE + padded(len(data))
        if self._at + size > self._medium.size:
            raise OSError(errno.ENOSPC, f"{self._medium.path}: the partition is full")
        if not self._begun:
            self._begin(header)
        self._head[: record.HEADER_BYTES] = record.pack(header)
        self._follower.update(data)
        self._write_all(data)
        self._at += size
        self._entry.records += 1
        self._entry.bytes += len(data)
        self.progress.written += len(data)
        self.look()

    def after(self, done: Callable[[], None]) -> None:
        """Call `done`, in another thread, when what was written last is not needed any more."""
        self._follower.after(done)

    def look(self) -> None:
        """Sync if it is time; to be called now and then while nothing is to be written."""
        if self._begun:
            self._syncer.look(self.progress.written, self._sync)
            self.progress.synced = self._syncer.safe

    def _sync(self) -> Callable[[], None]:
        entry = replace(self._entry, end=self._at)

        def sync() -> None:
            os.fdatasync(self._fd)
            self._medium.note(entry)
            self._entry.generation = entry.generation
            self._noted = entry

        return sync

    def note_tail(self, end: Header, lost: int) -> None:
        """So many bytes were lost behind the last block: an end record says so, where there is room for its page."""
        if self._begun and self._at + PAGE <= self._medium.size:
            self.write(end._replace(lost_bytes=lost), _NOTHING)

    def _begin(self, header: Header) -> None:
        began = Segment(0, header.capture, header.sequence, header.time_ns, wall_clock(header.time_ns))
        self._what.segments.append(began)
        self._entry.what = asdict(self._what)
        self._medium.note(self._entry)
        self._noted = replace(self._entry)
        self.progress.file = self._entry.name
        self._follower.restart(self._config.checksum)
        self._syncer.settle(0)
        self._begun = True

    def _write_all(self, data: memoryview) -> None:
        parts: list[memoryview | mmap.mmap | bytes] = [self._head, data] if data else [self._head]
        if len(data) % PAGE:  # the end of a capture: no whole page, so no O_DIRECT any more
            fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)
            parts.append(bytes(padded(len(data)) - len(data)))
        wanted = PAGE + padded(len(data))
        done = os.pwritev(self._fd, parts, self._at)
        if done < PAGE:
            raise OSError(errno.EIO, f"{self._medium.path}: {done} bytes were written of {wanted}")
        while done < min(wanted, PAGE + len(data)):
            done += os.pwrite(self._fd, data[done - PAGE :], self._at + done)

    def finish(self) -> None:
        """Make it a whole recording."""
        self._syncer.wait()
        if self._begun:
            try:
                os.fdatasync(self._fd)
            except OSError:
                self._syncer.failed = True
                raise
            self._entry.end = self._at
            self._entry.sha256 = self._follower.digest() or ""
            self._make_whole(self._entry)
            self.progress.synced = self.progress.written
        self._close()

    def _make_whole(self, entry: Entry) -> None:
        entry.state = WHOLE
        self._medium.note(entry)
        self.progress.files = 1
        self.progress.done.append(entry.name)

    def close(self) -> None:
        """Wait for all that was begun; the recorder is not used any more."""
        self._syncer.close()
        self._follower.close()

    def save(self, error: OSError) -> None:
        """After `error`: keep what was written before it, as far as the medium lets us."""
        reason = f"{error.strerror or error}"
        self.progress.error = reason
        left = ""
        try:
            self._keep(f"ended early: {reason}")
        except OSError as again:
            _log.error("recording %s: left for repair: %s", self._entry.name, again)
            left = f"; {self._entry.name} is left for repair at the next start"
        self.progress.error = f"{reason}; {self.progress.synced} bytes are whole, what came after them is not{left}"
        _log.error("recording %s: %s", self._entry.name, self.progress.error)

    def _keep(self, note: str) -> None:
        with contextlib.suppress(OSError):  # then it is known to have failed
            self._syncer.wait()
        self.progress.synced = self._syncer.safe
        try:
            if self._syncer.failed:
                self._make_whole(replace(self._noted, note=note))
            else:
                self._entry.note = note
                self.finish()
        finally:
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._medium.close()


def _unused(medium: Partition, name: str) -> str:
    taken, made, number = {entry.name for entry in medium.entries}, name, 0
    while made in taken:
        number += 1
        made = f"{name}-{number}"
    return made


def repair(path: Path) -> list[str]:
    """Mark what a power cut or a kill left unfinished as whole up to its last sync; a sentence for each."""
    try:
        with Partition(path, writable=True) as medium:
            return [_mend(medium, entry) for entry in medium.load() if entry.state == WRITING]
    except (OSError, ValueError) as error:
        return [f"{path}: {error}"]


def _mend(medium: Partition, entry: Entry) -> str:
    note = f"cut off while it was written; cut to the last synced window, {entry.bytes} bytes"
    medium.note(replace(entry, state=WHOLE, note=note))
    _log.warning("recording %s: %s", entry.name, note)
    return f"{entry.name}: {note}"


def export(medium: Partition, entry: Entry, folder: Path) -> str:
    """Write a recording into `folder` as SigMF; its name there. Raises RefusedError, with what is kept; ValueError."""
    what = sigmf.from_json(entry.what)
    config = Disk(folder=folder, datatype=what.datatype, rotate_bytes=1 << 62, min_free_bytes=0)
    began = what.segments[0].datetime if what.segments else ""
    made = Recorder(config, "buffered", entry.name, Source(what.board, what.pattern, what.rate, entry.bytes, began))
    try:
        for head, payload in medium.records(entry):
            header = record.unpack(head)
            if header.flags & record.FLAG_END:
                made.note_tail(header, header.lost_bytes)
            else:
                made.write(header, memoryview(payload))
        made.finish()
    except OSError as error:
        made.save(error)
        raise RefusedError(f"{entry.name} into {folder}: {made.progress.error}") from error
    finally:
        made.close()
    return made.progress.file
