# SPDX-License-Identifier: MIT
"""The status page and the metrics, by HTTP on loopback: `/`, `/status.json`, `/metrics`.

Only GET, only these, and only for a Host that is loopback, so that a web page elsewhere cannot read it through a
browser on this machine by a name that it points here. Reached from an engineer's computer through SSH:
`./inv dashboard`.
"""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
from pathlib import Path
from typing import Protocol

MAX_REQUEST_BYTES = 8192
MAX_CONNECTIONS = 8
PAGE = Path(__file__).with_name("page.html")
_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"


class Source(Protocol):
    """Where the figures come from."""

    def whole(self) -> dict[str, object]:
        """The status."""

    def metrics(self) -> str:
        """The same for Prometheus."""


class Web:
    """Answers on `listener`."""

    def __init__(self, listener: socket.socket, selector: selectors.BaseSelector, source: Source) -> None:
        """Own `listener` from now on."""
        listener.setblocking(False)
        self.connections: dict[_Connection, None] = {}  # in the order in which they came
        self.selector = selector
        self._listener = listener
        self._source = source
        selector.register(listener, selectors.EVENT_READ, self._on_event)

    def _on_event(self, _mask: int) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self.connections) >= MAX_CONNECTIONS:  # the oldest may be one that says nothing
                next(iter(self.connections)).close()
            self.connections[_Connection(connection, self)] = None

    def answer(self, request: bytes) -> bytes:
        """The whole response to a whole request."""
        head = request.decode("latin-1").split("\r\n")
        words = head[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _response(400, "text/plain", b"not HTTP\n")
        hosts = [line.partition(":")[2].strip() for line in head[1:] if line.lower().startswith("host:")]
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return _response(403, "text/plain", b"valid hosts: 127.0.0.1, localhost, [::1]\n")
        if words[0] != "GET":
            return _response(405, "text/plain", b"valid methods: GET\n")
        path = words[1].partition("?")[0]
        if path == "/":
            return _response(200, "text/html; charset=utf-8", PAGE.read_bytes())
        if path == "/status.json":
            return _response(200, "application/json", json.dumps(self._source.whole()).encode())
        if path == "/metrics":
            return _response(200, "text/plain; version=0.0.4", self._source.metrics().encode())
        return _response(404, "text/plain", b"valid paths: /, /status.json, /metrics\n")

    def close(self) -> None:
        """Close everything."""
        for connection in tuple(self.connections):
            connection.close()
        self.selector.unregister(self._listener)
        self._listener.close()


class _Connection:
    """One request, one response, without ever blocking the loop."""

    def __init__(self, connection: socket.socket, web: Web) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._web = web
        self._input = b""
        self._output = b""
        self._open = True
        web.selector.register(connection, selectors.EVENT_READ, self._on_event)

    def _on_event(self, mask: int) -> None:
        if not self._open:
            return
        try:
            if mask & selectors.EVENT_READ and not self._output:
                self._read()
            if self._output:
                self._output = self._output[self._socket.send(self._output) :]
                if not self._output:
                    self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def _read(self) -> None:
        data = self._socket.recv(MAX_REQUEST_BYTES)
        self._input += data
        if not data:
            self.close()
        elif b"\r\n\r\n" in self._input or len(self._input) > MAX_REQUEST_BYTES:
            whole = len(self._input) <= MAX_REQUEST_BYTES
            self._output = self._web.answer(self._input) if whole else _response(400, "text/plain", b"too long\n")
            self._web.selector.modify(self._socket, selectors.EVENT_WRITE, self._on_event)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._web.connections.pop(self, None)
            self._web.selector.unregister(self._socket)
            self._socket.close()


def _response(status: int, kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Security-Policy: {_POLICY}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
