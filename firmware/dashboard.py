# SPDX-License-Identifier: MIT
"""The board's status page in a browser here: a port of this computer's loopback, carried to the board's by SSH.

The page listens on the board's loopback only and is never seen by the network; whoever may log in may see it. The
browser's connections are answered by a thread each, until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator

import paramiko

from firmware.errors import TargetError, UserError
from firmware.ssh import Target

LOOPBACK = "127.0.0.1"
BOARD_PORT = 7701  # http.port, see docs/service.md
_CHUNK = 1 << 16


def run(target: Target, port: int = BOARD_PORT) -> None:
    """Show where the page is, and carry it until Ctrl-C. Raises TargetError: no service; UserError: port in use."""
    with target, forward(target, BOARD_PORT, port) as here:
        _probe(target, here)
        print(f"status page: http://{LOOPBACK}:{here}/ (Ctrl-C ends)", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _probe(target: Target, here: int) -> None:
    with socket.create_connection((LOOPBACK, here), timeout=30) as probe:
        probe.sendall(f"GET /status.json HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode())
        if not probe.recv(64).startswith(b"HTTP/1.1 200"):
            raise TargetError(target.name, "the status page does not answer (valid: captured runs, http.port is 7701)")


@contextlib.contextmanager
def forward(target: Target, there: int, here: int = 0) -> Iterator[int]:
    """While the block runs, connections to loopback port `here` (0: a free one) reach the board's loopback `there`."""
    try:
        listener = socket.create_server((LOOPBACK, here))
    except OSError as error:
        raise UserError(f"--port: {here}: {error.strerror} (valid: a free port, or 0)") from error
    target.connect()
    threading.Thread(target=_accept, args=(target, listener, there), daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        listener.close()


def _accept(target: Target, listener: socket.socket, there: int) -> None:
    while True:
        try:
            connection, origin = listener.accept()
        except OSError:
            return
        threading.Thread(target=_carry, args=(target, connection, origin, there), daemon=True).start()


def _carry(target: Target, connection: socket.socket, origin: tuple[str, int], there: int) -> None:
    with connection:
        try:
            channel = target.transport.open_channel("direct-tcpip", (LOOPBACK, there), origin)
        except (paramiko.SSHException, TargetError, EOFError):
            return  # nothing listens there: the browser sees a connection that ends
        with channel:
            back = threading.Thread(target=_copy_up, args=(connection, channel), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := channel.recv(_CHUNK):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_RDWR)


def _copy_up(connection: socket.socket, channel: paramiko.Channel) -> None:
    with contextlib.suppress(OSError):
        while data := connection.recv(_CHUNK):
            channel.sendall(data)
        channel.shutdown_write()
