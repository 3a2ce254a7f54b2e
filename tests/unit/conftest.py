# SPDX-License-Identifier: MIT
"""The board's package `captured` is importable in the tests, by the loader that the host's receiver uses; fixtures."""

from __future__ import annotations

import mmap
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from firmware import wire

assert wire.HEADER_BYTES
MIB = 1 << 20


@pytest.fixture
def ring() -> memoryview:
    """Page-aligned memory, as the ring's."""
    memory = mmap.mmap(-1, 4 * MIB)
    memory.write(os.urandom(4 * MIB))
    return memoryview(memory)


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], int]]:
    """Listens on a port and sends the given bytes to who connects, if anybody does."""
    threads: list[threading.Thread] = []
    listeners: list[socket.socket] = []

    def begin(data: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def work() -> None:
            with listener, suppress(OSError):  # of accept, when nobody has come to the end
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(data)

        listeners.append(listener)
        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield begin
    for listener in listeners:
        with suppress(OSError):  # it is closed already
            listener.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(20)
