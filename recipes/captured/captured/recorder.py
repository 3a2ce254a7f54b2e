# SPDX-License-Identifier: MIT
"""The recorder: a thread that writes blocks into files, and says when it is done with each.

Writing blocks for as long as the card likes (an SD card pauses for a second now and then), so it is not done in the
service's loop. Checksum and syncs are made at the same time, in threads of their own (`captured.beside`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from captured import recording, retention
from captured.beside import Follower, Syncer
from captured.config import Disk
from captured.record import FLAG_ERROR, FLAG_GAP, Header
from captured.sigmf import Description, Gap, Segment
from captured.writers import ALIGN, Buffered, open_writer

_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What the recorder tells; written by its thread only."""

    file: str = ""
    files: int = 0
    written: int = 0
    synced: int = 0
    writer: str = ""
    error: str = ""
    done: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """What is recorded: board, pattern, bytes a second (0: not known), bytes in all if known; `began`: not now."""

    board: str
    pattern: str
    rate: int
    wanted: int | None
    began: str = ""


class Recorder:
    """Writes one recording, in as many files as rotation makes of it. Used by one thread; methods raise OSError."""

    def __init__(
        self, config: Disk, writer: str, name: str, source: Source, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is written yet; `clock` gives seconds that no one steps."""
        self.progress = Progress(writer=writer)
        self._config = config
        self._name = name
        self._source = source
        self._clock = clock
        self._output: Buffered | None = None
        self._follower = Follower()
        self._syncer = Syncer(config, clock)
        self._journal: recording.Journal | None = None
        self._what: Description | None = None
        self._part = 0
        self._opened = 0.0

    def write(self, header: Header, data: memoryview) -> None:
        """Append one block."""
        if self._output is not None and self._is_full(len(data)):
            self.finish()
        if self._output is None:
            self._open(header, len(data))
        output, what = self._output, self._what
        assert output is not None and what is not None  # noqa: S101, PT018  # for mypy: _open has set them or raised
        place = output.written
        if header.flags & (FLAG_GAP | FLAG_ERROR):
            what.gaps.append(Gap(place, len(data), header.lost_bytes, bool(header.flags & FLAG_ERROR)))
        self._follower.update(data)
        output.write(data)
        self.progress.written += len(data)
        self.look()

    def after(self, done: Callable[[], None]) -> None:
        """Call `done`, in another thread, when what was written last is not needed any more."""
        self._follower.after(done)

    def look(self) -> None:
        """Sync if it is time; to be called now and then while nothing is to be written."""
        if self._output is not None:
            self._syncer.look(self.progress.written, self._sync)
            self.progress.synced = self._syncer.safe

    def _sync(self) -> Callable[[], None]:
        output, journal = self._output, self._journal
        assert output is not None and journal is not None  # noqa: S101, PT018  # for mypy: both are set from _open on
        entry = journal.entry(output.written)

        def sync() -> None:
            output.sync()
            journal.append(entry)

        return sync

    def note_tail(self, _end: Header, lost: int) -> None:
        """So many bytes were lost behind the last block that was written."""
        if self._output is not None and self._what is not None:
            self._what.gaps.append(Gap(self._output.written, 0, lost))

    def _is_full(self, more: int) -> bool:
        config = self._config
        written = self._output.written if self._output else 0
        if written and written + more > config.rotate_bytes:
            return True
        return bool(config.rotate_seconds) and self._clock() - self._opened >= config.rotate_seconds

    def _open(self, header: Header, first: int) -> None:
        config, source = self._config, self._source
        config.folder.mkdir(parents=True, exist_ok=True)
        wanted = config.rotate_bytes
        if source.wanted is not None:
            wanted = min(wanted, max(first, source.wanted - self.progress.written))
        free = retention.tidy(config, min(wanted, config.rotate_bytes))
        if free < first:
            raise OSError(errno.ENOSPC, f"{config.folder}: {free} bytes may be written (disk.min_free_bytes stay free)")
        name = self._unused_name()
        what = Description(config.datatype, source.board, source.rate, source.pattern, part=self._part)
        began = source.began or wall_clock(header.time_ns)
        what.segments.append(Segment(0, header.capture, header.sequence, header.time_ns, began))
        self._journal = recording.Journal(recording.named(config.folder, name, recording.JOURNAL), what)
        self._what = what
        self.progress.file = name
        self._output = open_writer(self.progress.writer, recording.named(config.folder, name, recording.PART))
        self.progress.writer = self._output.name
        reserve = min(wanted, free)
        self._output.reserve(reserve - reserve % ALIGN or reserve)
        self._follower.restart(config.checksum)
        self._opened = self._clock()
        self._syncer.settle(self.progress.written)

    def _unused_name(self) -> str:
        folder = self._config.folder
        while True:
            name = self._name if self._part == 0 else f"{self._name}-{self._part}"
            suffixes = (recording.DATA, recording.META, recording.JOURNAL, recording.PART)
            if not any(recording.named(folder, name, suffix).exists() for suffix in suffixes):
                return name
            self._part += 1

    def finish(self) -> None:
        """Make the file that is being written a whole recording."""
        if self._output is None or self._what is None or self._journal is None:
            return
        output, name, folder = self._output, self.progress.file, self._config.folder
        self._syncer.wait()
        try:
            output.finish()
            self._journal.note(output.written)
        except OSError:
            self._syncer.failed = True
            raise
        sha256 = self._follower.digest()
        self._journal.close()
        if output.written:
            recording.publish(folder, name, self._what, sha256)
            self._note_done(name)
        else:
            recording.discard(folder, name)
        self._output = None
        self._syncer.settle(self.progress.written)
        self.progress.synced = self.progress.written
        self._part += 1

    def close(self) -> None:
        """Wait for all that was begun; the recorder is not used any more."""
        self._syncer.close()
        self._follower.close()

    def save(self, error: OSError) -> None:
        """After `error`: keep what was written before it, as far as the medium lets us, and say how much that is."""
        self.progress.error = reason = f"{error.strerror or error}"
        output, self._output = self._output, None
        left = ""
        if output is not None and self._journal is not None:
            left = self._keep(output, self._journal)
        elif self._journal is not None and self.progress.file:
            self._journal.close()
            with contextlib.suppress(OSError):  # what it could not begin, the next start removes
                recording.discard(self._config.folder, self.progress.file)
        self.progress.error = f"{reason}; {self.progress.synced} bytes are whole, what came after them is not{left}"
        _log.error("recording %s: %s", self._name, self.progress.error)

    def _keep(self, output: Buffered, journal: recording.Journal) -> str:
        name = self.progress.file
        try:
            with contextlib.suppress(OSError):  # then it is known to have failed
                self._syncer.wait()
            self.progress.synced = self._syncer.safe
            if output.is_open and not self._syncer.failed:
                output.finish()
                journal.note(output.written)
                self.progress.synced = self.progress.written
            output.close()
            journal.close()
            recording.mend(self._config.folder, name, self._config.checksum)
        except (OSError, ValueError, TypeError) as error:
            _log.error("recording %s: left for repair: %s", name, error)
            return f"; {name} is left for repair at the next start"
        finally:
            journal.close()
        if output.written:
            self._note_done(name)
        return ""

    def _note_done(self, name: str) -> None:
        self.progress.files += 1
        self.progress.done.append(name)
        del self.progress.done[:-16]


def wall_clock(time_ns: int) -> str:
    """The wall clock when the board's monotonic clock said `time_ns`."""
    seconds = time.time() - (time.monotonic_ns() - time_ns) / 1e9
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
