# SPDX-License-Identifier: MIT
"""The range server: what is out of range or not understood first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from firmware.httpd import RangeServer, Unsatisfiable, parse_range

pytestmark = pytest.mark.unit
CONTENT = bytes(range(100))


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=4000-", "bytes=-0"])
def test_range_behind_the_end_is_unsatisfiable(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 100)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=9-3", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=-1-2"]
)
def test_what_is_not_understood_means_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=99-99", (99, 100)),
        ("bytes=99-", (99, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-4000", (90, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-100", (0, 100)),
        ("bytes=-101", (0, 100)),
    ],
)
def test_range(header: str, wanted: tuple[int, int]) -> None:
    assert parse_range(header, 100) == wanted


class Client:
    """Requests on one connection."""

    def __init__(self, connection: socket.socket, server: RangeServer) -> None:
        """`connection` is served by `server`."""
        self._connection, self.server = connection, server

    def ask(self, method: str = "GET", path: str | None = None, **headers: str) -> tuple[HTTPResponse, bytes]:
        """The answer to one request, and its body."""
        lines = [f"{method} {path or self.server.path} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in headers.items())]
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = HTTPResponse(self._connection, method=method)
        answer.begin()
        return answer, answer.read()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    file = tmp_path / "x.raucb"
    file.write_bytes(CONTENT)
    server = RangeServer(file)
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=server.serve, args=(theirs,))
    thread.start()
    ours.settimeout(20)
    yield Client(ours, server)
    ours.close()
    thread.join()
    theirs.close()
    server.close()


@pytest.mark.parametrize("path", ["/", "/x.raucb", "/token/x.raucb", "/../../etc/passwd"])
def test_without_the_token_there_is_nothing(client: Client, path: str) -> None:
    answer, body = client.ask(path=path)
    assert (answer.status, body) == (404, b"")
    assert client.server.bytes_sent == 0


def test_other_methods_are_refused(client: Client) -> None:
    assert client.ask("DELETE")[0].status == 501


def test_behind_the_end(client: Client) -> None:
    answer, body = client.ask(Range="bytes=100-")
    assert (answer.status, answer.headers["Content-Range"], body) == (416, "bytes */100", b"")


def test_one_connection_answers_many_requests(client: Client) -> None:
    answer, body = client.ask()
    assert (answer.status, body, answer.headers["ETag"]) == (200, CONTENT, f'"{client.server.tag}"')
    answer, body = client.ask(Range="bytes=0-3")
    assert (answer.status, answer.headers["Content-Range"], body) == (206, "bytes 0-3/100", CONTENT[:4])
    answer, body = client.ask("HEAD", Range="bytes=-10")
    assert (answer.status, answer.headers["Content-Length"], body) == (206, "10", b"")
    answer, body = client.ask(Range="bytes=98-")
    assert (answer.status, body) == (206, CONTENT[98:])
    assert client.server.requests == 4
    assert client.server.bytes_sent == 100 + 4 + 2
