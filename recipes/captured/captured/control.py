# SPDX-License-Identifier: MIT
"""The control socket: one JSON object a line in, one out, over a Unix stream socket (docs/stream-format.md).

Every reply has `ok`; with `false` comes `error`, a sentence that says what would be valid. A line longer than
`MAX_LINE_BYTES` is answered with an error and ends the connection, anything else leaves it open. Who may connect is
decided by the file's group and mode.
"""

from __future__ import annotations

import contextlib
import json
import logging
import selectors
import socket
from collections.abc import Callable
from pathlib import Path

from captured.errors import CapturedError, RefusedError

_log = logging.getLogger(__name__)
MAX_LINE_BYTES = 4096
MAX_CONNECTIONS = 16
MODE = 0o660

Handler = Callable[[object], dict[str, object]]


class ControlServer:
    """Accepts connections on `path` and answers each line with `handler`."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, handler: Handler) -> None:
        """Listen. Raises CapturedError: another service answers there, or the folder can't be written."""
        self.connections: set[_Connection] = set()
        self._path = path
        self._selector = selector
        self._handler = handler
        self._listener = _listen(path)
        selector.register(self._listener, selectors.EVENT_READ, self._on_event)

    def _on_event(self, _mask: int) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self.connections) >= MAX_CONNECTIONS:
                connection.close()
                return
            self.connections.add(_Connection(connection, self))

    def answer(self, line: bytes) -> bytes:
        """Reply to one line, its newline included."""
        try:
            reply = {"ok": True, **self._handler(_parse(line))}
        except RefusedError as error:
            reply = {"ok": False, "error": str(error)}
        return json.dumps(reply).encode() + b"\n"

    def watch(self, connection: socket.socket, callback: Callable[[int], None]) -> None:
        """Call `callback` when `connection` can be read."""
        self._selector.register(connection, selectors.EVENT_READ, callback)

    def forget(self, connection: _Connection, its_socket: socket.socket) -> None:
        """Close a connection."""
        self.connections.discard(connection)
        self._selector.unregister(its_socket)
        its_socket.close()

    def close(self) -> None:
        """Close every connection and remove the socket."""
        for connection in tuple(self.connections):
            connection.close()
        self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)


class _Connection:
    def __init__(self, connection: socket.socket, server: ControlServer) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._server = server
        self._input = bytearray()
        self._open = True
        server.watch(connection, self._on_event)

    def _on_event(self, _mask: int) -> None:
        if not self._open:
            return
        try:
            data = self._socket.recv(MAX_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._input += data
        try:
            self._answer_lines()
        except OSError:  # also a peer that does not read its replies: one may be torn, nothing can follow it
            self.close()

    def _answer_lines(self) -> None:
        while (end := self._input.find(b"\n")) >= 0 and end <= MAX_LINE_BYTES:
            line = bytes(self._input[:end])
            del self._input[: end + 1]
            self._socket.sendall(self._server.answer(line))
        if len(self._input) > MAX_LINE_BYTES:
            refusal = {"ok": False, "error": f"the line is too long (valid: at most {MAX_LINE_BYTES} bytes)"}
            self._socket.sendall(json.dumps(refusal).encode() + b"\n")
            self.close()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._server.forget(self, self._socket)


def _parse(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"not JSON: {error} (valid: one JSON object a line)") from error


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            _refuse_living(path)
            path.unlink()  # a service that was killed left it
        listener.bind(str(path))
        path.chmod(MODE)  # before anyone can connect: listen comes next
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise CapturedError(f"{path}: {error.strerror} (valid: a folder that the service may write)") from error
    except CapturedError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _refuse_living(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise CapturedError(f"{path}: another service answers there (valid: one at a time)")
