# SPDX-License-Identifier: MIT
"""A port of this computer's loopback that leads through SSH to what a host there can reach: `ssh -L`.

A board's status page on its own loopback, a board's stream behind a jump host. Each connection is carried by two
threads.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import paramiko

from firmware.errors import TargetError, UserError
from firmware.ssh import Target

LOOPBACK = "127.0.0.1"
Address = tuple[str, int]
_CHUNK = 1 << 16
_until_exit = contextlib.ExitStack()


def stand(through: Target, to: Address) -> Address:
    """A forward that stands until this program ends: where it is here. Raises TargetError."""
    return LOOPBACK, _until_exit.enter_context(forward(through, to))


@contextlib.contextmanager
def forward(through: Target, to: Address, here: int = 0) -> Iterator[int]:
    """While the block runs, connections to loopback port `here` (0: a free one) reach what `through` knows as `to`.

    Raises UserError: the port is in use; TargetError: `through` is not to be reached.
    """
    try:
        listener = socket.create_server((LOOPBACK, here))
    except OSError as error:
        raise UserError(f"--port: {here}: {error.strerror} (valid: a free port, or 0)") from error
    through.connect()
    threading.Thread(target=_accept, args=(through, listener, to), daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        listener.close()


def _accept(through: Target, listener: socket.socket, to: Address) -> None:
    while True:
        try:
            connection, origin = listener.accept()
        except OSError:
            return
        threading.Thread(target=_carry, args=(through, connection, origin, to), daemon=True).start()


def _carry(through: Target, connection: socket.socket, origin: Address, to: Address) -> None:
    gone = contextlib.suppress(OSError, EOFError)  # a channel says EOFError to its close when the link has dropped
    with connection, gone:
        try:
            channel = through.transport.open_channel("direct-tcpip", to, origin)
        except (paramiko.SSHException, TargetError):
            return  # nothing listens there: the client sees a connection that ends
        with channel:
            back = threading.Thread(target=_copy_up, args=(connection, channel), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := channel.recv(_CHUNK):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_RDWR)


def _copy_up(connection: socket.socket, channel: paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := connection.recv(_CHUNK):
            channel.sendall(data)
        channel.shutdown_write()
