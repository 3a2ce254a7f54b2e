# SPDX-License-Identifier: MIT
"""Push: the service connects to a reader by itself, and again, ever more slowly, when it is not there or gone."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
from collections.abc import Callable
from typing import Protocol

from captured import peer
from captured.config import Push
from captured.tcp_client import Client

_log = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
CONNECT_SECONDS = 10.0


class Adopt(Protocol):
    """What makes a connection a sink."""

    def __call__(self, connection: socket.socket, name: str, raw: bool, pushed: bool) -> Client:
        """The reader on `connection`."""


class Pusher:
    """One reader to be reached."""

    def __init__(
        self, target: Push, selector: selectors.BaseSelector, adopt: Adopt, clock: Callable[[], float]
    ) -> None:
        """Nothing is tried before the first `tick`."""
        self._target = target
        self._selector = selector
        self._adopt = adopt
        self._name = peer.name(target.host, target.port)
        self._client: Client | None = None
        self._trying: socket.socket | None = None
        self._since = clock()
        self._next = clock()
        self._pause = FIRST_PAUSE_SECONDS
        self._said = ""

    @property
    def connected(self) -> bool:
        """Whether the reader is there."""
        return self._client is not None and self._client.open

    def tick(self, now: float) -> float | None:
        """Try when it is time; seconds until it must be called again, or None while connected."""
        if self.connected:
            return None
        if self._client is not None:
            self._client = None
            self._put_off(now, "gone")
        if self._trying is not None and now - self._since > CONNECT_SECONDS:
            self._give_up()
            self._put_off(now, "no answer")
        if self._trying is None and now >= self._next:
            self._try(now)
        return 0.1 if self._trying is None and now >= self._next else 1.0

    def _try(self, now: float) -> None:
        family = socket.AF_INET6 if ":" in self._target.host else socket.AF_INET
        trying = socket.socket(family, socket.SOCK_STREAM)
        trying.setblocking(False)
        number = trying.connect_ex((self._target.host, self._target.port))
        if number not in (0, errno.EINPROGRESS):
            trying.close()
            self._put_off(now, os.strerror(number))
            return
        self._trying, self._since = trying, now
        self._selector.register(trying, selectors.EVENT_WRITE, self._on_event)

    def _on_event(self, _mask: int) -> None:
        trying = self._trying
        if trying is None:
            return
        self._selector.unregister(trying)
        self._trying = None
        number = trying.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            trying.close()
            self._put_off(self._since, os.strerror(number))
            return
        self._pause = FIRST_PAUSE_SECONDS
        self._said = ""
        self._client = self._adopt(trying, self._name, self._target.raw, True)

    def _put_off(self, now: float, reason: str) -> None:
        if reason != self._said:
            _log.warning("push to %s: %s; tried again, ever more slowly", self._name, reason)
        self._said = reason
        self._next = now + self._pause
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)

    def _give_up(self) -> None:
        if self._trying is not None:
            self._selector.unregister(self._trying)
            self._trying.close()
            self._trying = None

    def describe(self) -> dict[str, object]:
        """For the status, while it is not connected."""
        return {"kind": "push", "name": self._name, "waiting": self._said or "connecting"}

    def close(self) -> None:
        """Try no more."""
        self._give_up()
