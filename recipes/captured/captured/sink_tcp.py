# SPDX-License-Identifier: MIT
"""The TCP sinks: listening sockets and their readers, and readers that the service connects to by itself (push).

Each reader gets every record from the moment it is accepted. Who may read: an address on the allow-list, or one that
was let in over the control socket (`capturectl allow`); nobody else. A reader that acknowledges nothing for
`stall_seconds` while something is outstanding is dropped, whatever its policy: it would hold its blocks for ever.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import selectors
import socket
import time
from collections.abc import Callable, Sequence

from captured import peer
from captured.config import Network, Tcp
from captured.errors import CapturedError
from captured.push import Pusher
from captured.tcp_client import Client, Counters

_log = logging.getLogger(__name__)
DRAIN_SECONDS = 0.01  # how often a dropped connection is asked whether the kernel is done
_SO_BINDTODEVICE = 25
MAX_GRANTS = 64


class TcpSinks:
    """Implements `captured.sink.Group`."""

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        config: Tcp,
        clock: Callable[[], float] = time.monotonic,
        raw_listener: socket.socket | None = None,
    ) -> None:
        """Accept on the listeners, which it owns from now on; `clock` gives seconds."""
        self.counters = Counters()
        self.clients: list[Client] = []
        self.granted: set[Network] = set()
        self._draining: list[Client] = []
        self._listeners = [(listener, False)] + ([(raw_listener, True)] if raw_listener else [])
        self._selector = selector
        self._config = config
        self._clock = clock
        self._pushers = [Pusher(target, selector, self._adopt, clock) for target in config.push]
        for one, _raw in self._listeners:
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ, self._on_event)

    def configure(self, config: Tcp) -> None:
        """Take over a changed configuration: allow-list, policy; options of readers to come. Ports stay as they are."""
        self._config = config
        for client in self.clients:
            client.policy = config.policy
            if not client.pushed and not self.may_read(client.address):
                client.drop("it is no longer on the allow-list")

    def sinks(self) -> Sequence[Client]:
        """See Group."""
        return [client for client in self.clients if client.open]

    def grant(self, network: Network) -> None:
        """Let `network` read until the service ends."""
        if len(self.granted) >= MAX_GRANTS:
            raise CapturedError(f"{MAX_GRANTS} grants are in force (valid: put networks into the configuration)")
        self.granted.add(network)
        _log.info("%s may read the stream", network)

    def may_read(self, address: str) -> bool:
        """Whether a reader from `address` is let in."""
        found = ipaddress.ip_address(peer.unmapped(address).partition("%")[0])
        return any(found in network for network in (*self._config.allow, *self.granted))

    def _on_event(self, _mask: int) -> None:
        self.accept_waiting()

    def accept_waiting(self) -> None:
        """Accept everyone who has connected by now: who connected before `start` misses nothing."""
        for listener, raw in self._listeners:
            with contextlib.suppress(OSError):  # EAGAIN: nobody more; anything else concerns a peer that left already
                while True:
                    connection, address = listener.accept()
                    self._receive(connection, address, raw)

    def _receive(self, connection: socket.socket, address: Sequence[object], raw: bool) -> None:
        name = peer.name(str(address[0]), int(str(address[1])))
        if not self.may_read(str(address[0])):
            _log.warning("%s: refused: not on the allow-list (valid: tcp.allow, or capturectl allow)", name)
        elif len(self.clients) >= self._config.clients:
            _log.warning("%s: refused: %d readers are connected (valid: at most that)", name, self._config.clients)
        else:
            self._adopt(connection, name, raw).address = str(address[0])
            return
        self.counters.clients_refused += 1
        connection.close()

    def _adopt(self, connection: socket.socket, name: str, raw: bool, pushed: bool = False) -> Client:
        client = Client(connection, name, self._selector, self.counters, self._clock, self._config, raw)
        client.pushed = pushed
        self.clients.append(client)
        self.counters.clients_accepted += 1
        _log.info("%s: connected", name)
        return client

    def tick(self) -> float | None:
        """Housekeeping of one round: drop who stalls, bury who left. Seconds until it must be called again, or None."""
        now = self._clock()
        patience = self._config.stall_seconds
        for client in self.clients:
            if patience and client.open and client.stalled_for(now) > patience:
                client.drop(f"nothing acknowledged for {patience} s")
        self._draining += [client for client in self.clients if not client.open]
        self.clients = [client for client in self.clients if client.open]
        self._draining = [client for client in self._draining if not client.drain()]
        again = [pause for pusher in self._pushers if (pause := pusher.tick(now)) is not None]
        if self._draining:
            again.append(DRAIN_SECONDS)
        if not self.idle:
            again.append(1.0)
        return min(again, default=None)

    @property
    def idle(self) -> bool:
        """Whether every record was sent and acknowledged."""
        return not self._draining and all(client.idle for client in self.clients)

    def describe(self) -> list[dict[str, object]]:
        """The readers, for the status; those that push tries to reach included."""
        found = [{"kind": "push" if client.pushed else "tcp", **client.describe()} for client in self.sinks()]
        return found + [pusher.describe() for pusher in self._pushers if not pusher.connected]

    def close(self) -> None:
        """Stop listening; close readers that are idle in order, reset the others. No block may be filled after this."""
        for listener, _raw in self._listeners:
            self._selector.unregister(listener)
            listener.close()
        for pusher in self._pushers:
            pusher.close()
        for client in self.clients:
            if not client.idle:
                client.drop("the service stops")
        for client in (*self.clients, *self._draining):
            client.close()
        self.clients.clear()
        self._draining.clear()


def listen(port: int, host: str | None = None, interface: str = "") -> socket.socket:
    """Listening socket on `port` of all addresses, IPv6 and IPv4, or of `host` or `interface` only. Raises OSError."""
    if host is None and socket.has_dualstack_ipv6():
        made = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        made = socket.create_server((host or "", port))
    if interface:
        try:
            made.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
        except OSError:
            made.close()
            raise
    return made
