# SPDX-License-Identifier: MIT
"""The ring: where blocks come from.

`Ring` is what the service needs; `DeviceRing` is the driver's, `/dev/capture0`: opened once, mapped once, read-only,
until the device goes away. A block that was dequeued belongs to the service until it is enqueued again; nothing may be
enqueued while the kernel may still read its pages (see `captured.zerocopy`).

A mapping can be revoked while views of it exist: `close` puts anonymous memory in its place (mmap(2), MAP_FIXED), so
the driver's pages are let go at once, and whoever still looks reads zeros.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from captured import abi, mapping
from captured.errors import DeviceError

_NOTHING_THERE = (errno.EAGAIN, errno.ENODATA)  # none now; none left of a capture that has ended


class NothingThereError(Exception):
    """No filled block waits."""


class Filled(NamedTuple):
    """One filled block: place in the ring, record flags, valid bytes, and what the driver says about it."""

    place: int
    flags: int
    bytes: int
    sequence: int
    time_ns: int
    lost_bytes: int


class Statistics(NamedTuple):
    """The driver's counters since the start of the capture, and who owns how many blocks now."""

    blocks_filled: int
    bytes_filled: int
    bytes_lost: int
    gaps: int
    errors: int
    blocks_free: int
    blocks_hardware: int
    blocks_done: int
    blocks_user: int


class Ring(ABC):
    """A set of `blocks` blocks of `block_bytes` in one `memory`; every method raises DeviceError when it fails."""

    block_bytes: int
    blocks: int
    fabric_id: int
    memory: memoryview

    @abstractmethod
    def fileno(self) -> int:
        """File descriptor that polls readable while filled blocks wait."""

    @abstractmethod
    def start(self, pattern: int, rate: int) -> None:
        """Begin a capture: `pattern` of capture_ring.h, `rate` in bytes a second, 0 as fast as blocks are free."""

    @abstractmethod
    def stop(self) -> None:
        """End the capture; blocks that are filled already can still be dequeued."""

    @abstractmethod
    def dequeue(self) -> list[Filled]:
        """Filled blocks, oldest first, at most `abi.BATCH`; empty when none waits. Never blocks."""

    @abstractmethod
    def enqueue(self, places: Sequence[int]) -> None:
        """Give blocks back to be filled again."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """The counters now."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the device. Views of `memory` that are still alive stay valid, and read zeros."""


class DeviceRing(Ring):
    """The driver's ring. Raises DeviceError on opening: no device, in use, other ABI, other fabric."""

    def __init__(self, path: str, fabric_id: int) -> None:
        """Open and map `path`; `fabric_id` is what the image was made for."""
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceError(f"{path}: {error.strerror}") from error
        self._path = path
        self._batch = bytearray(abi.BATCH_BYTES)
        self._zeros = bytes(abi.BATCH_BYTES)
        try:
            self._identify(fabric_id)
            self._mapping = mapping.Mapping(self._fd, self._map_bytes)
        except OSError as error:
            os.close(self._fd)
            raise DeviceError(f"{path}: {error.strerror}") from error
        except DeviceError:
            os.close(self._fd)
            raise
        self.memory = self._mapping.view

    def _identify(self, fabric_id: int) -> None:
        info = bytearray(abi.INFO.size)
        self._ioctl(abi.IOC_INFO, info)
        number, self.fabric_id, self.block_bytes, self.blocks, self._map_bytes, _flags, _fifo = abi.INFO.unpack(info)
        if number != abi.ABI:
            raise DeviceError(f"{self._path}: the driver's ABI is {number} (valid: {abi.ABI})")
        if self.fabric_id != fabric_id:
            raise DeviceError(f"{self._path}: the fabric's id is {self.fabric_id:#x} (valid: {fabric_id:#x})")

    def _ioctl(self, request: int, data: bytearray | bytes = b"") -> None:
        try:
            fcntl.ioctl(self._fd, request, data)
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                raise NothingThereError from error
            raise DeviceError(f"{self._path}: request {request:#x}: {error.strerror}") from error

    def fileno(self) -> int:
        """See Ring."""
        return self._fd

    def start(self, pattern: int, rate: int) -> None:
        """See Ring."""
        self._ioctl(abi.IOC_START, abi.START.pack(pattern, 0, rate))

    def stop(self) -> None:
        """See Ring."""
        self._ioctl(abi.IOC_STOP)

    def dequeue(self) -> list[Filled]:
        """See Ring."""
        batch = self._batch
        batch[:] = self._zeros  # the driver refuses reserved fields that are not zero
        abi.BATCH_HEAD.pack_into(batch, 0, abi.BATCH, 0, 0)
        try:
            self._ioctl(abi.IOC_DEQUEUE, batch)
        except NothingThereError:
            return []
        count = abi.BATCH_HEAD.unpack_from(batch)[0]
        filled = []
        for entry in range(count):
            place, flags, size, _, *rest = abi.BLOCK.unpack_from(batch, abi.BATCH_HEAD.size + entry * abi.BLOCK.size)
            filled.append(Filled(place, flags & abi.RECORD_FLAGS, size, *rest))
        return filled

    def enqueue(self, places: Sequence[int]) -> None:
        """See Ring."""
        for first in range(0, len(places), abi.BATCH):
            some = places[first : first + abi.BATCH]
            batch = bytearray(self._zeros)
            abi.BATCH_HEAD.pack_into(batch, 0, len(some), 0, 0)
            for entry, place in enumerate(some):
                abi.BLOCK.pack_into(batch, abi.BATCH_HEAD.size + entry * abi.BLOCK.size, place, 0, 0, 0, 0, 0, 0)
            self._ioctl(abi.IOC_ENQUEUE, batch)

    def statistics(self) -> Statistics:
        """See Ring."""
        data = bytearray(abi.STATISTICS.size)
        self._ioctl(abi.IOC_STATISTICS, data)
        return Statistics(*abi.STATISTICS.unpack(data))

    def close(self) -> None:
        """See Ring."""
        self.memory = memoryview(b"")
        self._mapping.revoke()
        with contextlib.suppress(OSError):
            os.close(self._fd)
