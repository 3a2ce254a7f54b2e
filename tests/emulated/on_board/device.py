# SPDX-License-Identifier: MIT
"""/dev/capture0 in ctypes, for test programs that run on the board: one class a structure of capture_ring.h.

Needs nothing but CPython: it is pushed to the board as it is. Errors are OSError, as the driver says them.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import mmap
import os
import select
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

PATH = "/dev/capture0"
BATCH = 16
STATUS_OFFSET = 0x7FFF0000
GAP, ERROR, SHORT = 1, 2, 16
DROP_NEWEST, STOP, OVERWRITE_OLDEST = 0, 1, 2
FORWARD_ONLY, TAI, USER = 1, 2, 4
LIMIT = 1
DRAIN, ABORT = 0, 1
ONCE = 1
IDLE, RUNNING, STOPPED, OVERFLOW, COMPLETE = 0, 1, 2, 3, 4
COUNTER, PRBS31, RAMP, SAMPLES = range(4)

U32, U64 = ctypes.c_uint32, ctypes.c_uint64


class Info(ctypes.Structure):
    """struct capture_ring_info."""

    _fields_ = [
        ("abi", U32), ("fabric_id", U32), ("block_bytes", U32), ("blocks", U32), ("map_bytes", U64),
        ("flags", U32), ("source_fifo_bytes", U32), ("alignment", U32), ("reserved", U32 * 7),
    ]  # fmt: skip


class Setup(ctypes.Structure):
    """struct capture_ring_setup."""

    _fields_ = [
        ("block_bytes", U32), ("blocks", U32), ("overflow", U32), ("flags", U32), ("map_bytes", U64),
        ("reserved", U32 * 10),
    ]  # fmt: skip


class Start(ctypes.Structure):
    """struct capture_ring_start."""

    _fields_ = [("pattern", U32), ("flags", U32), ("rate", U64), ("blocks", U64), ("reserved", U32 * 2)]


class End(ctypes.Structure):
    """struct capture_ring_end."""

    _fields_ = [("mode", U32), ("flags", U32), ("bytes", U64), ("left", U64), ("reserved", U32 * 4)]


class Block(ctypes.Structure):
    """struct capture_ring_block."""

    _fields_ = [
        ("index", U32), ("flags", U32), ("bytes", U32), ("gaps", U32), ("sequence", U64), ("time_ns", U64),
        ("lost_bytes", U64),
    ]  # fmt: skip


class Batch(ctypes.Structure):
    """struct capture_ring_batch."""

    _fields_ = [("count", U32), ("flags", U32), ("reserved", U64), ("block", Block * BATCH)]


class Statistics(ctypes.Structure):
    """struct capture_ring_statistics."""

    _fields_ = [
        ("blocks_filled", U64), ("bytes_filled", U64), ("bytes_lost", U64), ("gaps", U64), ("errors", U64),
        ("blocks_free", U32), ("blocks_hardware", U32), ("blocks_done", U32), ("blocks_user", U32),
        ("blocks_overwritten", U64), ("recovered", U32), ("reserved", U32),
    ]  # fmt: skip


class Status(ctypes.Structure):
    """struct capture_ring_status."""

    _fields_ = [
        ("abi", U32), ("version", U32), ("state", U32), ("reserved", U32), ("sequence", U64),
        ("blocks_overwritten", U64), ("bytes_lost", U64), ("start_monotonic_ns", U64), ("start_tai_ns", U64),
        ("blocks_free", U32), ("blocks_hardware", U32), ("blocks_done", U32), ("blocks_user", U32),
    ]  # fmt: skip


class Sync(ctypes.Structure):
    """struct capture_ring_sync."""

    _fields_ = [("index", U32), ("direction", U32), ("offset", U32), ("bytes", U32), ("reserved", U32 * 4)]


class Buffer(ctypes.Structure):
    """struct capture_ring_user."""

    _fields_ = [("address", U64), ("bytes", U64), ("flags", U32), ("index", U32), ("reserved", U32 * 4)]


def _request(direction: int, number: int, kind: type[ctypes.Structure] | None) -> int:
    return direction << 30 | (ctypes.sizeof(kind) if kind else 0) << 16 | ord("C") << 8 | number


INFO = _request(2, 0x40, Info)
START = _request(1, 0x41, Start)
STOP_NOW = _request(0, 0x42, None)
DEQUEUE = _request(3, 0x43, Batch)
ENQUEUE = _request(3, 0x44, Batch)
STATISTICS = _request(2, 0x45, Statistics)
SETUP = _request(3, 0x46, Setup)
END = _request(3, 0x47, End)
SYNC = _request(3, 0x48, Sync)
REGISTER = _request(3, 0x49, Buffer)
UNREGISTER = _request(3, 0x4A, Buffer)


class Device:
    """An open device; blocking unless told otherwise."""

    def __init__(self, nonblock: bool = False) -> None:
        """Become the owner."""
        self.fd = os.open(PATH, os.O_RDWR | (os.O_NONBLOCK if nonblock else 0))
        self.ring: mmap.mmap | None = None

    def __enter__(self) -> Device:
        """As opened."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close and unmap."""
        self.close()

    def close(self) -> None:
        """Let go of it; a ring that is still looked at stays mapped."""
        if self.ring is not None:
            self.ring.close()
            self.ring = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def ioctl(self, request: int, data: ctypes.Structure | None = None) -> None:
        """One call."""
        if data is None:
            fcntl.ioctl(self.fd, request)
        else:
            fcntl.ioctl(self.fd, request, data, True)

    def info(self) -> Info:
        """INFO."""
        data = Info()
        self.ioctl(INFO, data)
        return data

    def setup(self, block_bytes: int = 0, blocks: int = 0, overflow: int = 0, flags: int = 0) -> Setup:
        """SETUP."""
        data = Setup(block_bytes, blocks, overflow, flags)
        self.ioctl(SETUP, data)
        return data

    def map(self) -> memoryview:
        """The ring."""
        self.ring = mmap.mmap(self.fd, self.info().map_bytes, mmap.MAP_SHARED, mmap.PROT_READ)
        return memoryview(self.ring)

    def start(self, rate: int = 0, pattern: int = COUNTER, flags: int = 0, blocks: int = 0) -> None:
        """START."""
        self.ioctl(START, Start(pattern, flags, rate, blocks))

    def stop(self) -> None:
        """STOP."""
        self.ioctl(STOP_NOW)

    def end(self, mode: int) -> End:
        """END."""
        data = End(mode)
        self.ioctl(END, data)
        return data

    def dequeue(self, most: int = BATCH) -> list[Block]:
        """DEQUEUE."""
        batch = Batch(most)
        self.ioctl(DEQUEUE, batch)
        return [Block.from_buffer_copy(batch.block[place]) for place in range(batch.count)]

    def enqueue(self, indexes: Sequence[int]) -> None:
        """ENQUEUE, up to BATCH at a time."""
        for first in range(0, len(indexes), BATCH):
            some = indexes[first : first + BATCH]
            batch = Batch(len(some))
            for place, index in enumerate(some):
                batch.block[place].index = index
            self.ioctl(ENQUEUE, batch)

    def statistics(self) -> Statistics:
        """STATISTICS."""
        data = Statistics()
        self.ioctl(STATISTICS, data)
        return data

    def register(self, address: int, size: int, flags: int = 0) -> int:
        """REGISTER: the buffer's index."""
        data = Buffer(address, size, flags)
        self.ioctl(REGISTER, data)
        return int(data.index)

    def unregister(self, index: int) -> None:
        """UNREGISTER."""
        self.ioctl(UNREGISTER, Buffer(index=index))

    @contextmanager
    def status(self) -> Iterator[Callable[[], Status]]:
        """The status page: a function that reads it, consistently."""
        with mmap.mmap(self.fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ, offset=STATUS_OFFSET) as page:

            def read() -> Status:
                while True:
                    before, data = page[:], Status.from_buffer_copy(page)
                    if not data.version & 1 and before[4:8] == page[4:8]:
                        return data

            yield read

    def wait_readable(self, seconds: float = 10) -> int:
        """Events that poll reports; 0: none in time."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        found = poll.poll(seconds * 1000)
        return found[0][1] if found else 0


# the counter's words as one long number: an addition makes any stretch of it, far quicker than a loop over words
_WORDS = 16384
_COUNTER = int.from_bytes(array.array("I", range(_WORDS)).tobytes(), "little")
_ONES = int.from_bytes(array.array("I", [1]).tobytes() * _WORDS, "little")


def is_counter(data: memoryview | bytes, first: int) -> bool:
    """Whether `data` are the counter's words from `first` on; within the first 16 GiB of a capture."""
    for at in range(0, len(data), 4 * _WORDS):
        piece = bytes(data[at : at + 4 * _WORDS])
        want = (_COUNTER + (first + at // 4) * _ONES).to_bytes(4 * _WORDS, "little")
        if piece != want[: len(piece)]:
            return False
    return True


def word_at(data: memoryview | bytes, offset: int) -> int:
    """The counter's word at a byte offset."""
    return int(struct.unpack_from("<I", data, offset)[0])


def refused(number: int, call: Callable[..., object], *arguments: object, **named: object) -> None:
    """The call fails with that errno, and no other way."""
    try:
        call(*arguments, **named)
    except OSError as error:
        if error.errno == number:
            return
        raise AssertionError(f"{error} (expected: {errno.errorcode[number]})") from error
    raise AssertionError(f"no error (expected: {errno.errorcode[number]})")
