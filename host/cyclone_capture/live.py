# SPDX-License-Identifier: MIT
"""The stream as NumPy arrays: each block's samples are a view of the buffer that it was received into.

A buffer is used again only when nobody holds its array, or a view of it, any more; so a block may be kept for as long
as it is wanted, and a loop that keeps none needs two buffers however long it runs.
"""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import wire
from .errors import TargetError
from .numbers import dtype
from .receiver import TIMEOUT_SECONDS, connect

PORT = 7700


@dataclass(frozen=True)
class Block:
    """One record: its header, and its samples; `gap`: samples are missing right before them or inside."""

    header: wire.Header
    samples: npt.NDArray[Any]

    @property
    def gap(self) -> bool:
        """Whether samples are missing."""
        return bool(self.header.flags & wire.FLAG_GAP)


class Pool:
    """Buffers; one is free again when no array looks at it."""

    def __init__(self) -> None:
        """No buffer yet."""
        self._buffers: list[tuple[bytearray, weakref.ref[npt.NDArray[np.uint8]]]] = []

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """An array of `size` bytes that nobody else looks at."""
        for place, (buffer, user) in enumerate(self._buffers):
            if user() is None and len(buffer) >= size:
                del self._buffers[place]
                break
        else:
            self._buffers = [(buffer, user) for buffer, user in self._buffers if user() is not None]
            buffer = bytearray(size)
        made = np.frombuffer(buffer, np.uint8, count=size)
        self._buffers.append((buffer, weakref.ref(made)))
        return made


class Stream(Iterator[Block]):
    """Blocks of one capture, until it ends; then `end` is its end record, with all that was lost (`lost_bytes`)."""

    def __init__(self, connection: socket.socket, name: str, kind: np.dtype[Any]) -> None:
        """Read from `connection`, which is closed with the last block."""
        self.end: wire.Header | None = None
        self._blocks = self._run(connection, name, kind)

    def __next__(self) -> Block:
        """The next block. Raises TargetError."""
        return next(self._blocks)

    def _run(self, connection: socket.socket, name: str, kind: np.dtype[Any]) -> Iterator[Block]:
        pool = Pool()
        with connection:
            head = bytearray(wire.HEADER_BYTES)
            while True:
                _fill(connection, name, memoryview(head))
                try:
                    header = wire.unpack(head)
                except ValueError as error:
                    raise TargetError(name, f"not the capture stream: {error}") from error
                if header.flags & wire.FLAG_END:
                    self.end = header
                    return
                data = pool.take(header.payload_bytes)
                _fill(connection, name, data.data)
                yield Block(header, data[: len(data) - len(data) % kind.itemsize].view(kind))
                del data


def stream(host: str, port: int = PORT, datatype: str = "ru32_le", timeout: float = TIMEOUT_SECONDS) -> Stream:
    """Blocks of the capture that runs or begins next. Raises TargetError; UserError: datatype, host, port, timeout."""
    kind = dtype(datatype)
    return Stream(connect(host, port, timeout), f"{host}:{port}", kind)


def _fill(connection: socket.socket, name: str, view: memoryview) -> None:
    got = 0
    try:
        while got < len(view):
            taken = connection.recv_into(view[got:])
            if taken == 0:
                said = "the stream ended inside a record" if got else "the board closed the connection"
                raise TargetError(name, f"{said} (valid: a computer that is let in: capturectl allow)")
            got += taken
    except OSError as error:
        raise TargetError(name, f"connection lost: {error}") from error
