# SPDX-License-Identifier: MIT
"""The daemon `captured`: one loop over the ring, the stream's sockets, the control socket and the signals.

SIGTERM and SIGINT end a running capture in order: what was filled is delivered with the end record, readers get up to
`LINGER_SECONDS` to take it. Exit status 0 then; 1 when the device fails, and systemd starts the service again.
"""

from __future__ import annotations

import argparse
import logging
import selectors
import signal
import socket
import time
from pathlib import Path

from captured import facts, journal, sink_tcp
from captured.capture import Captures
from captured.client import CONTROL
from captured.commands import Commands
from captured.control import ControlServer
from captured.errors import CapturedError
from captured.notify import notify, watchdog_seconds
from captured.ring import DeviceRing, Ring

_log = logging.getLogger(__name__)
DEVICE = "/dev/capture0"
LINGER_SECONDS = 5.0


class Service:
    """All parts, wired to one selector. DeviceError and CapturedError pass through."""

    def __init__(self, board: facts.Facts, ring: Ring, listener: socket.socket, control: Path) -> None:
        """Take over `ring` and `listener`, and listen on `control`."""
        self._selector = selectors.DefaultSelector()
        self._ring = ring
        self._ring_watched = False
        self._stop_at: float | None = None
        self.tcp = sink_tcp.TcpSink(listener, self._selector)
        self.captures = Captures(ring, [self.tcp])
        self._control = ControlServer(control, self._selector, Commands(board, ring, self.captures, self.tcp).handle)
        self.wake, self._woken = socket.socketpair()
        self.wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_wake)

    def _on_wake(self, _mask: int) -> None:
        """A byte on `wake` (signals write one) asks to stop."""
        self._woken.recv(64)
        if self._stop_at is None:
            self._stop_at = time.monotonic() + LINGER_SECONDS
            notify("STOPPING=1")
            if self.captures.running:
                self.captures.stop()

    def step(self, timeout: float) -> None:
        """One round: wait up to `timeout` seconds, then handle everything that is ready."""
        self._watch_ring(self.captures.running)
        for key, mask in self._selector.select(timeout):
            key.data(mask)
        self.captures.give_back()

    def _watch_ring(self, wanted: bool) -> None:
        if wanted and not self._ring_watched:
            self._selector.register(self._ring, selectors.EVENT_READ, self._on_ring)
        elif self._ring_watched and not wanted:
            self._selector.unregister(self._ring)
        self._ring_watched = wanted

    def _on_ring(self, _mask: int) -> None:
        self.captures.pump()

    def run(self) -> None:
        """Loop until asked to stop."""
        beat = watchdog_seconds()
        notify("READY=1\nSTATUS=waiting for a start")
        next_beat = 0.0
        while not self._finished():
            again = self.tcp.tick()
            self.captures.give_back()
            self.step(min(again or 60.0, beat or 60.0, 0.05 if self._stop_at else 60.0))
            if beat and time.monotonic() >= next_beat:
                notify("WATCHDOG=1")
                next_beat = time.monotonic() + beat / 2

    def _finished(self) -> bool:
        return self._stop_at is not None and (self.tcp.idle or time.monotonic() >= self._stop_at)

    def close(self) -> None:
        """Close everything, the ring last."""
        self._control.close()
        self.tcp.close()
        self._watch_ring(False)
        self._selector.close()
        self.wake.close()
        self._woken.close()
        self._ring.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon; exit status."""
    parser = argparse.ArgumentParser(prog="captured", description="Streams captures from the ring over TCP.")
    parser.add_argument("--device", default=DEVICE)
    parser.add_argument("--control", type=Path, default=CONTROL)
    parser.add_argument("--port", type=int, help="TCP port of the stream (default: the board's)")
    parser.add_argument("--listen", metavar="ADDRESS", help="one address to listen on (default: all)")
    options = parser.parse_args(arguments)
    journal.set_up()
    try:
        _serve(options)
    except (CapturedError, OSError) as error:
        _log.error("%s", error)
        notify(f"STATUS={error}")
        return 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    board = facts.load()
    ring = DeviceRing(options.device, board.fabric_id)
    listener = sink_tcp.listen(options.port or board.stream_port, options.listen)
    service = Service(board, ring, listener, options.control)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)  # the wake-up descriptor does the work
        signal.set_wakeup_fd(service.wake.fileno(), warn_on_full_buffer=False)
        _log.info("serving", extra={"fields": {"board": board.board, "fabric_id": f"{ring.fabric_id:#x}"}})
        service.run()
    finally:
        signal.set_wakeup_fd(-1)
        service.close()
