# SPDX-License-Identifier: MIT
# ruff: noqa: D101, D102, D107  # stand-ins: their names say what they do
"""Zero-copy sending: pages are held until the kernel has let go, whatever happens to the connection."""

from __future__ import annotations

import contextlib
import errno
import mmap
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any, cast

import pytest
from captured import zerocopy

pytestmark = pytest.mark.unit

BLOCK = 256 << 10


class Owner:
    def __init__(self) -> None:
        self.users = 0

    def hold(self) -> None:
        self.users += 1

    def release(self) -> None:
        self.users -= 1
        assert self.users >= 0


class FakeSocket:
    """Sends what it is told to, and has an error queue to fill."""

    def __init__(self) -> None:
        self.queue: list[bytes] = []
        self.errors: list[int] = []
        self.plain: list[int] = []
        self.take = 1 << 30

    def setsockopt(self, *_: Any) -> None:
        pass

    def sendmsg(self, buffers: list[memoryview], _ancillary: Any, flags: int) -> int:
        assert flags & zerocopy.MSG_ZEROCOPY
        if self.errors:
            raise OSError(self.errors.pop(), "as told")
        return min(self.take, len(buffers[0]))

    def send(self, data: memoryview, flags: int) -> int:
        assert not flags & zerocopy.MSG_ZEROCOPY
        self.plain.append(len(data))
        return len(data)

    def recvmsg(self, *_: Any) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        if not self.queue:
            raise BlockingIOError
        return b"", [(socket.IPPROTO_IP, 11, self.queue.pop(0))], 0, None

    def complete(self, first: int, last: int, copied: bool = False, origin: int = 5) -> None:
        self.queue.append(struct.pack("=IBBBBII", 0, origin, 0, copied, 0, first, last))


@pytest.fixture
def fake() -> FakeSocket:
    return FakeSocket()


@pytest.fixture
def counters() -> zerocopy.Counters:
    return zerocopy.Counters()


@pytest.fixture
def sender(fake: FakeSocket, counters: zerocopy.Counters) -> zerocopy.Sender:
    return zerocopy.Sender(cast(socket.socket, fake), counters)


DATA = memoryview(bytes(BLOCK))


def test_no_buffers_reaps_first_and_then_copies_a_piece(
    fake: FakeSocket, sender: zerocopy.Sender, counters: zerocopy.Counters
) -> None:
    before, after = Owner(), Owner()
    sender.send(DATA, before)
    fake.complete(0, 0)
    fake.errors = [errno.ENOBUFS]
    big = memoryview(bytes(4 * zerocopy.PLAIN_BYTES))
    assert sender.send(big, after) == zerocopy.PLAIN_BYTES
    assert (before.users, after.users, sender.pending) == (0, 0, 0)
    assert fake.plain == [zerocopy.PLAIN_BYTES]
    assert counters == zerocopy.Counters(1, 0, 1, zerocopy.PLAIN_BYTES)
    assert sender.enabled, "the next piece tries zero copy again"


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ECONNRESET, errno.EFAULT])
def test_failed_call_takes_no_number_and_no_hold(fake: FakeSocket, sender: zerocopy.Sender, number: int) -> None:
    owner = Owner()
    fake.errors = [number]
    with pytest.raises(OSError, match="as told"):
        sender.send(DATA, owner)
    assert (owner.users, sender.pending) == (0, 0)
    sender.send(DATA, owner)
    fake.complete(0, 0)
    assert sender.reap() == 1


def test_foreign_entries_and_unknown_numbers_release_nothing(fake: FakeSocket, sender: zerocopy.Sender) -> None:
    owner = Owner()
    sender.send(DATA, owner)
    fake.complete(0, 0, origin=2)
    fake.complete(5, 9)
    assert sender.reap() == 0
    assert owner.users == 1


def test_partial_sends_hold_the_block_until_each_has_completed(fake: FakeSocket, sender: zerocopy.Sender) -> None:
    owner = Owner()
    fake.take = BLOCK // 2
    assert sender.send(DATA, owner) == BLOCK // 2
    assert sender.send(DATA[BLOCK // 2 :], owner) == BLOCK // 2
    fake.complete(1, 1)  # they may come out of order
    sender.reap()
    assert owner.users == 1
    fake.complete(0, 0)
    sender.reap()
    assert owner.users == 0


def test_range_releases_all_its_calls_across_the_wrap(fake: FakeSocket, sender: zerocopy.Sender) -> None:
    sender._next = (1 << 32) - 2
    owners = [Owner() for _ in range(4)]
    for owner in owners:
        sender.send(DATA, owner)
    fake.complete((1 << 32) - 2, 0)
    assert sender.reap() == 3
    assert [owner.users for owner in owners] == [0, 0, 0, 1]


def test_copied_is_counted_and_after_a_row_of_them_zero_copy_is_off(
    fake: FakeSocket, sender: zerocopy.Sender, counters: zerocopy.Counters
) -> None:
    owner = Owner()
    for _ in range(2 * zerocopy.COPIED_LIMIT):
        sender.send(DATA, owner)
    limit = zerocopy.COPIED_LIMIT
    fake.complete(0, limit - 2, copied=True)
    fake.complete(limit - 1, limit - 1)  # one that was not copied begins a new row
    fake.complete(limit, 2 * limit - 2, copied=True)
    sender.reap()
    assert sender.enabled
    fake.complete(2 * limit - 1, 2 * limit - 1, copied=True)
    sender.reap()
    assert not sender.enabled
    assert (counters.completions, counters.copied) == (2 * limit, 2 * limit - 1)
    sender.send(DATA, owner)
    assert counters.plain_bytes == BLOCK
    assert owner.users == 0


def test_socket_that_knows_no_zero_copy_sends_by_copying(counters: zerocopy.Counters) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        sender = zerocopy.Sender(here, counters)
        assert not sender.enabled
        assert sender.send(memoryview(b"abcd"), Owner()) == 4
        assert there.recv(8) == b"abcd"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = socket.create_connection(listener.getsockname())
        here, _ = listener.accept()
    here.setblocking(False)
    there.settimeout(20)
    with here, there:
        yield here, there


def wait_for_errors(connection: socket.socket) -> None:
    poll = select.poll()
    poll.register(connection, 0)
    assert poll.poll(20_000), "no completion came"


def test_real_completions_release_and_loopback_is_told_to_be_copied(
    pair: tuple[socket.socket, socket.socket], counters: zerocopy.Counters
) -> None:
    here, there = pair
    sender, owner = zerocopy.Sender(here, counters), Owner()
    memory = mmap.mmap(-1, BLOCK)
    sent = sender.send(memoryview(memory), owner)
    assert 0 < sent <= BLOCK
    assert owner.users == 1
    with there.makefile("rb") as stream:
        assert len(stream.read(sent)) == sent
    while sender.pending:
        wait_for_errors(here)
        sender.reap()
    assert owner.users == 0
    assert (counters.completions, counters.copied) == (1, 1)
    assert select.select([here], [], [here], 0)[2] == [], "nothing is left that would wake the loop"


def test_reset_gives_every_block_back_while_the_reader_still_holds_its_end(
    pair: tuple[socket.socket, socket.socket], counters: zerocopy.Counters
) -> None:
    here, there = pair
    sender, owner = zerocopy.Sender(here, counters), Owner()
    memory = memoryview(mmap.mmap(-1, BLOCK))
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(memory, owner)
    sender.reap()
    assert sender.pending, "the socket is full and the reader takes nothing"
    zerocopy.reset(here)
    while sender.pending:
        wait_for_errors(here)
        sender.reap()
    assert owner.users == 0
    with pytest.raises(ConnectionResetError), there.makefile("rb") as stream:
        stream.read()
