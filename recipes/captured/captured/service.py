# SPDX-License-Identifier: MIT
"""The service: all parts, wired to one selector, and its loop.

The device may go away and come back: the capture ends, the mapping is revoked (`captured.mapping`), and the device is
tried again every `DEVICE_SECONDS`; readers stay connected, the control socket answers. A byte on `wake` (signals write
one) asks to stop: a running capture ends in order, and readers get up to `LINGER_SECONDS` to take what was filled.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from captured import config as configuration
from captured import facts, sink_tcp
from captured.capture import Captures
from captured.commands import Commands
from captured.config import Config
from captured.control import ControlServer
from captured.errors import ConfigError, DeviceError
from captured.mapping import sweep
from captured.no_ring import NoRing
from captured.notify import notify, watchdog_seconds
from captured.ring import Ring
from captured.sink_disk import DiskSinks
from captured.status import Status
from captured.web import Web

_log = logging.getLogger(__name__)
LINGER_SECONDS = 5.0
DEVICE_SECONDS = 1.0
IDLE_CHECK_SECONDS = 2.0


class Service:
    """CapturedError passes through `__init__`; after that only bugs do."""

    def __init__(
        self,
        board: facts.Facts,
        open_ring: Callable[[], Ring],
        listener: socket.socket,
        control: Path,
        config: Config | None = None,
        config_path: Path | None = None,
        raw_listener: socket.socket | None = None,
        web_listener: socket.socket | None = None,
    ) -> None:
        """Take over the listeners, and listen on `control`; `open_ring` raises DeviceError while there is none."""
        self.config = config or configuration.defaults(board)
        self.config_error = ""
        self._board = board
        self._config_path = config_path
        self._open_ring = open_ring
        self._selector = selectors.DefaultSelector()
        self._watched: Ring | None = None
        self._stop_at: float | None = None
        self._next_check = 0.0
        self.device_losses = 0
        self.ring: Ring = NoRing(board, "the device was not opened yet")
        self.tcp = sink_tcp.TcpSinks(listener, self._selector, self.config.tcp, raw_listener=raw_listener)
        self.disk = DiskSinks(self._selector, self.config.disk, board.board)
        self.captures = Captures(self.ring, [self.tcp, self.disk], budget=self.config.tcp.budget)
        self._status = Status(self, board)
        self._control = ControlServer(control, self._selector, Commands(self).handle)
        self._web = Web(web_listener, self._selector, self._status) if web_listener else None
        self.wake, self._woken = socket.socketpair()
        self.wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_wake)
        self.check_device()

    @property
    def device_open(self) -> bool:
        """Whether the device is there."""
        return not isinstance(self.ring, NoRing)

    def check_device(self) -> None:
        """Open the device when it is not; see whether it still is there when nothing else would show it."""
        self._next_check = time.monotonic() + (IDLE_CHECK_SECONDS if self.device_open else DEVICE_SECONDS)
        sweep()
        try:
            if self.device_open:
                self.ring.statistics()
                return
            ring = self._open_ring()
        except DeviceError as error:
            self.device_failed(error)
            return
        self.ring = ring
        self.captures.change_ring(ring)
        _log.info("device open", extra={"fields": {"fabric_id": f"{ring.fabric_id:#x}", "blocks": ring.blocks}})
        notify("STATUS=waiting for a start")

    def device_failed(self, error: DeviceError) -> None:
        """A request to the device failed: if it is gone, revoke its mapping and wait for it to return."""
        if isinstance(self.ring, NoRing):
            if self.ring.reason != str(error):
                _log.error("%s; waiting for the device", error)
                notify(f"STATUS={error}; waiting for the device")
            self.ring.reason = str(error)
            return
        _log.error("%s", error)
        try:
            self.ring.statistics()
            return  # it refused one request only
        except DeviceError as gone:
            reason = str(gone)
        lost = self.ring
        self._watch_ring(False)
        self.device_losses += 1
        self.ring = NoRing(self._board, reason)
        self.captures.change_ring(self.ring)
        lost.close()
        self._next_check = time.monotonic() + DEVICE_SECONDS
        _log.error("%s; waiting for the device", reason)
        notify(f"STATUS={reason}; waiting for the device")

    def _on_wake(self, _mask: int) -> None:
        said = self._woken.recv(64)
        if set(said) <= {signal.SIGHUP}:
            self.reload()
        elif self._stop_at is None:
            self._stop_at = time.monotonic() + LINGER_SECONDS
            notify("STOPPING=1")
            if self.captures.running:
                self._attempt(self.captures.stop)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except DeviceError as error:
            self.device_failed(error)

    def step(self, timeout: float) -> None:
        """One round: wait up to `timeout` seconds, then handle everything that is ready."""
        self._watch_ring(self.captures.running and not self.captures.held_back)
        for key, mask in self._selector.select(timeout):
            key.data(mask)
        if self.captures.held_back:
            self._attempt(self.captures.pump)
        else:
            self._attempt(self.captures.give_back)
        if time.monotonic() >= self._next_check:
            self.check_device()

    def _watch_ring(self, wanted: bool) -> None:
        if self._watched is not None and (not wanted or self._watched is not self.ring):
            self._selector.unregister(self._watched)
            self._watched = None
        if wanted and self._watched is None and self.device_open:
            self._selector.register(self.ring, selectors.EVENT_READ, self._on_ring)
            self._watched = self.ring

    def _on_ring(self, _mask: int) -> None:
        self._attempt(self.captures.pump)

    def run(self) -> None:
        """Loop until asked to stop."""
        beat = watchdog_seconds()
        notify("READY=1")
        next_beat = 0.0
        while not self._finished():
            waits = [self.tcp.tick(), self.captures.patience, beat, 0.05 if self._stop_at else None]
            self._attempt(self.captures.give_back)
            waits.append(max(0.0, self._next_check - time.monotonic()))
            self.step(min(wait for wait in waits if wait is not None))
            if beat and time.monotonic() >= next_beat:
                notify("WATCHDOG=1")
                next_beat = time.monotonic() + beat / 2

    def _finished(self) -> bool:
        return self._stop_at is not None and (self.tcp.idle or time.monotonic() >= self._stop_at)

    def status(self) -> dict[str, object]:
        """See `captured.status`."""
        return self._status.whole()

    def sinks(self) -> list[dict[str, object]]:
        """All sinks, each with its counters."""
        return self.tcp.describe() + self.disk.describe()

    def reload(self) -> dict[str, object]:
        """Read the configuration anew. Ports hold until the next start; a wrong file changes nothing."""
        if self._config_path is None:
            return {"changed": []}
        try:
            found = configuration.load(self._config_path, self._board)
        except ConfigError as error:
            self.config_error = str(error)
            _log.error("configuration: %s; what was in force stays so", error)
            return {"changed": [], "error": str(error)}
        before, after = asdict(self.config), asdict(found)
        changed = [f"{part}.{key}" for part in after for key in after[part] if before[part][key] != after[part][key]]
        self.config, self.config_error = found, ""
        self.tcp.configure(found.tcp)
        self.disk.configure(found.disk)
        self.captures.budget = found.tcp.budget
        _log.info("configuration: changed: %s", ", ".join(changed) or "nothing")
        return {"changed": changed}

    def close(self) -> None:
        """Close everything, the ring last."""
        self._control.close()
        if self._web:
            self._web.close()
        self.disk.close()
        self.tcp.close()
        self._watch_ring(False)
        self._selector.close()
        self.wake.close()
        self._woken.close()
        self.ring.close()
