# SPDX-License-Identifier: MIT
"""One file over HTTP/1.1 with byte ranges, on connections that are given: no port is opened on this computer.

RAUC's streaming reads a bundle by range requests (RAUC documentation, "HTTP Streaming"); the connections come through
the SSH tunnel (`firmware/tunnel.py`), so any object that has `makefile` and `sendall` will do. Single ranges (RFC 9110,
14.1.2) are answered with 206, one that begins behind the end with 416; a malformed or a multiple range is ignored, as
that document allows. The address holds a random token, as every process on the board can connect to the tunnel.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socketserver
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 18
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


class Unsatisfiable(Exception):
    """The range begins behind the end of the file."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None for the whole file. Raises Unsatisfiable."""
    found = _RANGE.match((header or "").strip())
    if not found or found.group(1) == found.group(2) == "":
        return None
    first, last = found.groups()
    if first == "":  # the last so many bytes
        if int(last) == 0:
            raise Unsatisfiable
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return int(first), min(size, int(last) + 1) if last else size


class RangeServer(socketserver.BaseServer):
    """Serves `file`; `path` is where it is found. `bytes_sent` and `requests` count what was answered."""

    def __init__(self, file: Path) -> None:
        """Open `file`; it is served as it is then, and must not be changed meanwhile."""
        super().__init__(("", 0), _Handler)
        self.path = f"/{secrets.token_urlsafe(24)}/{file.name}"
        self.bytes_sent = 0
        self.requests = 0
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self.tag = f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def serve(self, connection: Any) -> None:
        """Answer requests on `connection` until its other end closes it."""
        with contextlib.suppress(OSError, EOFError):  # the board may break off at any time; it knows why
            self.finish_request(connection, ("", 0))

    def read(self, offset: int, count: int) -> bytes:
        """Part of the file."""
        return os.pread(self._descriptor, count, offset)

    def count(self, sent: int = 0, requests: int = 0) -> None:
        """Count what was answered; connections are served by threads."""
        with self._lock:
            self.bytes_sent += sent
            self.requests += requests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # RAUC keeps its connections
    server: RangeServer

    def do_GET(self) -> None:
        """Answer with the file or a part of it."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer with the headers only."""
        self._answer(body=False)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: deploy shows its own progress."""

    def _answer(self, body: bool) -> None:
        served = self.server
        served.count(requests=1)
        if not secrets.compare_digest(self.path.encode(), served.path.encode()):
            self._head(HTTPStatus.NOT_FOUND, 0)
            return
        try:
            part = parse_range(self.headers.get("Range"), served.size)
        except Unsatisfiable:
            self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, f"bytes */{served.size}")
            return
        first, end = part or (0, served.size)
        if part:
            self._head(HTTPStatus.PARTIAL_CONTENT, end - first, f"bytes {first}-{end - 1}/{served.size}")
        else:
            self._head(HTTPStatus.OK, served.size)
        if body:
            self._body(first, end)

    def _head(self, status: HTTPStatus, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{self.server.tag}"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _body(self, first: int, end: int) -> None:
        while first < end:
            data = self.server.read(first, min(CHUNK_BYTES, end - first))
            if not data:
                raise OSError("the file became shorter while it was served")
            self.server.count(sent=len(data))
            self.wfile.write(data)
            first += len(data)
