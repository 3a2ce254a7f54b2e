# SPDX-License-Identifier: MIT
"""The TCP sink: a listening socket and its readers, each of which gets every record from the moment it is accepted.

A reader that acknowledges nothing for `STALL_SECONDS` while something is outstanding is dropped; the others go on.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import time
from collections.abc import Callable

from captured.capture import Record
from captured.tcp_client import Client, Counters

_log = logging.getLogger(__name__)
STALL_SECONDS = 10.0
MAX_CLIENTS = 16
DRAIN_SECONDS = 0.01  # how often a dropped connection is asked whether the kernel is done


class TcpSink:
    """Implements `captured.capture.Sink`."""

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Accept on `listener`, which it owns from now on; `clock` gives seconds."""
        listener.setblocking(False)
        self.counters = Counters()
        self.clients: list[Client] = []
        self._draining: list[Client] = []
        self._listener = listener
        self._selector = selector
        self._clock = clock
        selector.register(listener, selectors.EVENT_READ, self._on_event)

    def _on_event(self, _mask: int) -> None:
        self.accept_waiting()

    def accept_waiting(self) -> None:
        """Accept everyone who has connected by now: who connected before `start` misses nothing."""
        with contextlib.suppress(OSError):  # EAGAIN: nobody more; anything else concerns a peer that left already
            while True:
                connection, address = self._listener.accept()
                name = f"[{address[0]}]:{address[1]}"
                if len(self.clients) >= MAX_CLIENTS:
                    _log.warning("%s: refused: %d readers are connected (valid: at most that)", name, MAX_CLIENTS)
                    connection.close()
                    continue
                self.clients.append(Client(connection, name, self._selector, self.counters, self._clock))
                self.counters.clients_accepted += 1
                _log.info("%s: connected", name)

    def offer(self, item: Record) -> None:
        """See Sink."""
        for client in tuple(self.clients):
            if client.open:
                client.offer(item)

    def tick(self) -> float | None:
        """Housekeeping of one round: drop who stalls, bury who left. Seconds until it must be called again, or None."""
        now = self._clock()
        for client in self.clients:
            if client.open and client.stalled_for(now) > STALL_SECONDS:
                client.drop(f"nothing acknowledged for {STALL_SECONDS:g} s")
        self._draining += [client for client in self.clients if not client.open]
        self.clients = [client for client in self.clients if client.open]
        self._draining = [client for client in self._draining if not client.drain()]
        if self._draining:
            return DRAIN_SECONDS
        return None if self.idle else 1.0

    @property
    def idle(self) -> bool:
        """Whether every record was sent and acknowledged."""
        return not self._draining and all(client.idle for client in self.clients)

    def close(self) -> None:
        """Stop listening; close readers that are idle in order, reset the others. No block may be filled after this."""
        self._selector.unregister(self._listener)
        self._listener.close()
        for client in self.clients:
            if not client.idle:
                client.drop("the service stops")
        for client in (*self.clients, *self._draining):
            client.close()
        self.clients.clear()
        self._draining.clear()


def listen(port: int, host: str | None = None) -> socket.socket:
    """Listening socket on `port` of all addresses, IPv6 and IPv4, or of `host` only. Raises OSError."""
    if host is None and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host or "", port))
