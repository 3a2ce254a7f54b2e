# SPDX-License-Identifier: MIT
"""One reader of the stream: its queue of records, sent without a copy as far as its socket takes them.

A record is held once while it is queued and once for each zero-copy call that the kernel has not completed. When the
reader goes away in the middle, its connection is reset but the socket stays open until the kernel has completed every
call (`drain`): only then may the blocks be filled again, see `captured.zerocopy`.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from captured import zerocopy
from captured.config import Tcp
from captured.record import FLAG_END
from captured.sink import Lease, Sink

_log = logging.getLogger(__name__)
_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h; TCP paces by itself, without a queueing discipline (tcp(7) since 4.13)
_PROBE_SECONDS, _PROBES = 5, 3


@dataclass
class Counters(zerocopy.Counters):
    """Sums over all readers since the service started: records and payload bytes given to the kernel whole; readers."""

    blocks_sent: int = 0
    bytes_sent: int = 0
    clients_accepted: int = 0
    clients_dropped: int = 0
    clients_refused: int = 0


class Client(Sink):
    """A connected reader; `raw` ones get samples only, and the connection ends with the capture."""

    def __init__(
        self,
        connection: socket.socket,
        name: str,
        selector: selectors.BaseSelector,
        counters: Counters,
        clock: Callable[[], float],
        config: Tcp,
        raw: bool = False,
    ) -> None:
        """Serve `connection`, called `name` in the log; `clock` gives seconds for the stall rule."""
        super().__init__(name, config.policy)
        connection.setblocking(False)
        _set_options(connection, config)
        self._open = True
        self.raw = raw
        self.address = ""  # as the allow-list looks at it
        self.pushed = False
        self._socket = connection
        self._selector = selector
        self._counters = counters
        self._clock = clock
        self._sender = zerocopy.Sender(connection, counters, name)
        self._queue: deque[Lease] = deque()
        self._sent = 0  # bytes of the first record in the queue, header included
        self._blocked = False
        self._inside = False  # a capture whose end record was not sent
        self._progress = clock()
        selector.register(connection, selectors.EVENT_READ, self._on_event)

    @property
    def open(self) -> bool:
        """See Sink."""
        return self._open

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing is outstanding in the kernel."""
        return not self._queue and not self._sender.pending

    def take(self, lease: Lease) -> None:
        """See Sink: queue the record and send what the socket takes now."""
        if not self._open:
            lease.release()
            return
        if self.idle:
            self._progress = self._clock()
        self._queue.append(lease)
        self._inside = True
        if not self._blocked:
            self._pump()

    def stalled_for(self, now: float) -> float:
        """Seconds without any progress while something is outstanding."""
        return 0.0 if self.idle else now - self._progress

    def _on_event(self, mask: int) -> None:
        if not self._open:  # dropped earlier in the same round of events
            return
        self.reap()  # always first: an unread completion makes poll report errors without end
        if mask & selectors.EVENT_READ:
            self._look_for_end()
        if self._open and self._queue:
            self._pump()

    def reap(self) -> None:
        """Take completions off the error queue."""
        if self._sender.reap():
            self._progress = self._clock()

    def _look_for_end(self) -> None:
        try:
            if not self._socket.recv(4096, socket.MSG_DONTWAIT):  # a reader has nothing to say: ignored
                self.drop("the reader closed the connection")
        except BlockingIOError:
            pass
        except OSError as error:
            self.drop(str(error))

    def _pump(self) -> None:
        try:
            while self._queue:
                self._send_some(self._queue[0])
            self._wait_for_room(False)
        except BlockingIOError:
            self._wait_for_room(True)
        except OSError as error:
            self.drop(str(error))

    def _send_some(self, item: Lease) -> None:
        header = b"" if self.raw else item.packed
        header_left = len(header) - self._sent
        if header_left > 0:
            more = socket.MSG_MORE if item.payload else 0
            taken = self._socket.send(header[self._sent :], _FLAGS | more)
        elif item.payload:
            taken = self._sender.send(item.payload[-header_left:], item)
        else:
            taken = 0
        self._sent += taken
        self._progress = self._clock()
        if self._sent == len(header) + len(item.payload):
            self._finish(item)

    def _finish(self, item: Lease) -> None:
        self._queue.popleft()
        self._sent = 0
        if item.payload:
            self._counters.blocks_sent += 1
            self._counters.bytes_sent += len(item.payload)
        if item.header.flags & FLAG_END:
            self._inside = False
            if self.raw:
                self._socket.shutdown(socket.SHUT_WR)
        item.release()

    def _wait_for_room(self, blocked: bool) -> None:
        if blocked != self._blocked and self._open:
            self._blocked = blocked
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if blocked else 0)
            self._selector.modify(self._socket, events, self._on_event)

    def end(self, reason: str) -> None:
        """See Sink."""
        self.drop(reason)

    def drop(self, reason: str) -> None:
        """End the connection at once; queued records are let go, blocks in flight when the kernel completes them."""
        if not self._open:
            return
        self._open = False
        self._counters.clients_dropped += self._inside
        _log.log(logging.WARNING if self._inside else logging.INFO, "%s: disconnected: %s", self.name, reason)
        self._selector.unregister(self._socket)
        while self._queue:
            self._queue.popleft().release()
        try:
            zerocopy.reset(self._socket)
        except OSError as error:  # gone already: its queues are empty, completions arrive all the same
            _log.debug("%s: reset: %s", self.name, error)
        self.drain()

    def drain(self) -> bool:
        """After `drop`: reap; True when the kernel is done with every block and the socket is closed."""
        self._sender.reap()
        if self._sender.pending:
            return False
        self._socket.close()
        return True

    def close(self) -> None:
        """Close in order: what the kernel holds is still delivered, but nobody hears when it is done with a block."""
        if self._open:
            self._open = False
            self._selector.unregister(self._socket)
        self._socket.close()


def _set_options(connection: socket.socket, config: Tcp) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, config.keepalive_seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    if config.bandwidth:
        connection.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, config.bandwidth)
    if config.tos:
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, config.tos)
        if connection.family == socket.AF_INET6:
            with contextlib.suppress(OSError):  # a peer reached by IPv4
                connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, config.tos)
