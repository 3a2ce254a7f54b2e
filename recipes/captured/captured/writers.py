# SPDX-License-Identifier: MIT
"""Three ways to write blocks into a file or a partition, one after the other.

* `direct`: O_DIRECT, the card reads the ring's own pages. Offsets and sizes must be multiples of `ALIGN`; the first
  that is not (the end of a capture) turns O_DIRECT off for the rest of the file.
* `mmap`: the file is mapped window by window and the block copied in; the kernel writes it back, fdatasync(2) at once.
* `buffered`: pwrite(2) through the page cache.

Which is quickest depends on card, controller and kernel: `capturectl benchmark-disk`. Every method raises OSError.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import stat
from pathlib import Path

ALIGN = 4096
WINDOW_BYTES = 16 << 20
_libc = ctypes.CDLL(None, use_errno=True)
# off_t has 32 bits in fallocate on 32-bit machines, 64 in fallocate64 everywhere (glibc)
_fallocate = getattr(_libc, "fallocate64", _libc.fallocate)
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Buffered:
    """Through the page cache; also what the others are made from. `written` bytes so far."""

    name = "buffered"
    flags = 0

    def __init__(self, path: Path, start: int = 0) -> None:
        """Make the file `path`, which must not exist, or take a partition; write from byte `start`."""
        flags = os.O_RDWR | os.O_CLOEXEC | self.flags
        if not is_device(path):
            flags |= os.O_CREAT | os.O_EXCL
        self._fd = os.open(path, flags, 0o640)
        self._start = start
        self.written = 0
        self.reserved = 0

    def reserve(self, size: int, begin: int = 0) -> None:
        """Allocate up to byte `size`, from `begin`, where the file system can; ENOSPC and EFBIG pass through."""
        if _fallocate(self._fd, 0, begin, size - begin) == 0:
            self.reserved = size
            return
        number = ctypes.get_errno()
        if number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise OSError(number, os.strerror(number))

    def write(self, data: memoryview) -> None:
        """Append `data` as a whole."""
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], self._start + self.written + done)
        self.written += done

    @property
    def is_open(self) -> bool:
        """Whether it can be written to: neither finished nor closed."""
        return self._fd >= 0

    def sync(self) -> None:
        """What was written is on the medium when this returns; called beside `write`, too, from another thread."""
        os.fdatasync(self._fd)

    def finish(self) -> None:
        """Cut off what was reserved and not used, sync, close."""
        try:
            if self.reserved > self.written:
                os.ftruncate(self._fd, self.written)
            self.sync()
        finally:
            self.close()

    def close(self) -> None:
        """Close as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Direct(Buffered):
    """From the ring's own pages."""

    name = "direct"
    flags = os.O_DIRECT
    _direct = True

    def write(self, data: memoryview) -> None:
        """See Buffered."""
        if self._direct and (len(data) % ALIGN or self.written % ALIGN):
            self._direct = False
            fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)
        super().write(data)


class Mapped(Buffered):
    """Into windows of the file that are mapped in turn."""

    name = "mmap"
    _window: mmap.mmap | None = None
    _window_at = 0

    def write(self, data: memoryview) -> None:
        """See Buffered."""
        done = 0
        while done < len(data):
            place = self._start + self.written + done
            window = self._at(place)
            offset = place - self._window_at
            size = min(len(data) - done, WINDOW_BYTES - offset)
            window[offset : offset + size] = data[done : done + size]
            done += size
        self.written += done

    def _at(self, place: int) -> mmap.mmap:
        begin = place - place % WINDOW_BYTES
        if self._window is None or self._window_at != begin:
            self._drop_window()
            if self.reserved < begin + WINDOW_BYTES:
                self._extend(begin)
            self._window = mmap.mmap(self._fd, WINDOW_BYTES, offset=begin)
            self._window_at = begin
        return self._window

    def _extend(self, begin: int) -> None:
        """Blocks must be allocated: a full disk would be a bus error in a mapping of a sparse file."""
        self.reserve(begin + WINDOW_BYTES, begin)
        if self.reserved < begin + WINDOW_BYTES:  # no fallocate here: a partition, or a file system without it
            if not stat.S_ISBLK(os.fstat(self._fd).st_mode):
                os.posix_fallocate(self._fd, begin, WINDOW_BYTES)
            self.reserved = begin + WINDOW_BYTES

    def _drop_window(self) -> None:
        if self._window is not None:
            self._window.close()
            self._window = None

    def close(self) -> None:
        """See Buffered."""
        self._drop_window()
        super().close()


WRITERS: dict[str, type[Buffered]] = {"direct": Direct, "mmap": Mapped, "buffered": Buffered}


def open_writer(name: str, path: Path, start: int = 0) -> Buffered:
    """Writer `name` on `path`; buffered where the file system knows no O_DIRECT (its `name` says so). OSError."""
    try:
        return WRITERS[name](path, start)
    except OSError as error:
        if error.errno != errno.EINVAL or name != "direct":
            raise
        path.unlink(missing_ok=True)  # open(2) made it before it refused O_DIRECT
        return Buffered(path, start)


def is_device(path: Path) -> bool:
    """Whether `path` is a block device."""
    try:
        return stat.S_ISBLK(path.stat().st_mode)
    except OSError:
        return False
