# SPDX-License-Identifier: MIT
"""Sending pages without a copy, and knowing when the kernel has let go of them.

With SO_ZEROCOPY set, `sendmsg(MSG_ZEROCOPY)` makes the kernel transmit from the caller's own pages. Each such call that
sent something gets the next number of a 32-bit counter of the socket; when the peer has acknowledged the data and the
network card is done with it, an inclusive range of these numbers arrives on the socket's error queue
(Linux Documentation/networking/msg_zerocopy.rst). Until then the pages must not change.

* While an entry is on the error queue, poll reports EPOLLERR without end: `reap` comes first on every wake-up.
* ENOBUFS (no memory for the notification, or the lock limit): `reap`, then send a piece by copying, and try again.
* COPIED: the kernel copied after all (loopback, a packet capture, a card without checksum offload). It is counted;
  after `COPIED_LIMIT` in a row the socket sends by copying at once, which is cheaper than pinning and then copying.

Closing a socket loses its notifications, although the card may still read the pages: data that is refilled meanwhile
would go out. So a connection that must end early is not closed but disconnected (`reset`: `connect` to AF_UNSPEC, which
sends RST and empties the kernel's queues); the socket stays open, the notifications still arrive, and only then may it
be closed.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import socket
import struct
from dataclasses import dataclass
from typing import Protocol

_log = logging.getLogger(__name__)
SO_ZEROCOPY = 60
MSG_ZEROCOPY = 0x4000000
PLAIN_BYTES = 256 << 10  # sent by copying after ENOBUFS, before zero copy is tried again
COPIED_LIMIT = 16

_ORIGIN_ZEROCOPY = 5
_CODE_COPIED = 1
_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err: errno, origin, type, code, pad, info, data
_IDS = 1 << 32
_RECEIVE_ERRORS = {(socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25)}  # IP_RECVERR, IPV6_RECVERR
_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_libc = ctypes.CDLL(None, use_errno=True)


class Held(Protocol):
    """What owns the pages: held once for each call whose completion is outstanding."""

    def hold(self) -> None:
        """One more user."""

    def release(self) -> None:
        """One user less."""


@dataclass
class Counters:
    """Calls that completed, those of them that the kernel copied, ENOBUFS seen, payload bytes sent by copying."""

    completions: int = 0
    copied: int = 0
    no_buffers: int = 0
    plain_bytes: int = 0


class Sender:
    """Zero-copy sending on one connected, non-blocking TCP socket."""

    def __init__(self, connection: socket.socket, counters: Counters, name: str = "connection") -> None:
        """Switch zero copy on where it can be; several senders may share `counters`; `name` is for the log."""
        self._name = name
        self._socket = connection
        self._counters = counters
        self._pending: dict[int, Held] = {}
        self._next = 0
        self._copied_in_a_row = 0
        try:
            connection.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
            self.enabled = True
        except OSError:
            self.enabled = False

    @property
    def pending(self) -> int:
        """Calls whose pages the kernel may still read."""
        return len(self._pending)

    def send(self, data: memoryview, owner: Held) -> int:
        """Bytes taken of `data`, which `owner` owns. Raises BlockingIOError: none now; OSError: connection is gone."""
        if not self.enabled:
            return self._send_plain(data)
        try:
            sent = self._socket.sendmsg([data], [], _FLAGS | MSG_ZEROCOPY)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._counters.no_buffers += 1
            self.reap()
            return self._send_plain(data[:PLAIN_BYTES])
        owner.hold()
        self._pending[self._next] = owner
        self._next = (self._next + 1) % _IDS
        return sent

    def _send_plain(self, data: memoryview) -> int:
        sent = self._socket.send(data, _FLAGS)
        self._counters.plain_bytes += sent
        return sent

    def reap(self) -> int:
        """Release what the kernel is done with; number of calls that completed. Never blocks, never raises OSError."""
        reaped = 0
        while True:
            try:
                _, ancillary, _, _ = self._socket.recvmsg(0, 128, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except OSError:  # EAGAIN: nothing more; an error of the connection itself shows when sending
                return reaped
            for level, kind, data in ancillary:
                if (level, kind) in _RECEIVE_ERRORS and len(data) >= _ERROR.size:
                    reaped += self._complete(data)

    def _complete(self, data: bytes) -> int:
        _number, origin, _kind, code, _pad, first, last = _ERROR.unpack_from(data)
        if origin != _ORIGIN_ZEROCOPY:
            return 0
        calls = (last - first) % _IDS + 1
        done = 0
        for offset in range(min(calls, _IDS // 2)):
            owner = self._pending.pop((first + offset) % _IDS, None)
            if owner is None:
                break
            done += 1
            owner.release()
        self._counters.completions += done
        self._note_copied(done, bool(code & _CODE_COPIED))
        return done

    def _note_copied(self, calls: int, copied: bool) -> None:
        if not copied:
            self._copied_in_a_row = 0
            return
        self._counters.copied += calls
        self._copied_in_a_row += calls
        if self.enabled and self._copied_in_a_row >= COPIED_LIMIT:
            self.enabled = False
            _log.warning("%s: the kernel copies on this connection: zero copy is off", self._name)


def reset(connection: socket.socket) -> None:
    """Disconnect a TCP socket at once (RST, queues emptied) but keep it open. Raises OSError."""
    address = struct.pack("=H14x", socket.AF_UNSPEC)
    if _libc.connect(connection.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
