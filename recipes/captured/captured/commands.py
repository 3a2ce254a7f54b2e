# SPDX-License-Identifier: MIT
"""What can be asked over the control socket: `start`, `stop`, `status`; a request is checked whole before it acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from captured import abi
from captured.capture import Captures, Order
from captured.errors import RefusedError
from captured.facts import Facts
from captured.ring import Ring
from captured.sink_tcp import TcpSink

VERSION = 1
MAX_RATE = 0xFFFFFFFF  # the source's RATE register has 32 bits
MAX_BYTES = 1 << 62
WORD_BYTES = 4
_KEYS = {
    "start": {"command", "pattern", "rate", "bytes", "clients"},
    "stop": {"command"},
    "status": {"command"},
}


class Commands:
    """Answers requests. `handle` raises RefusedError: nothing was done; DeviceError: the device failed."""

    def __init__(self, facts: Facts, ring: Ring, captures: Captures, tcp: TcpSink) -> None:
        """Act on these parts of the service."""
        self._facts = facts
        self._ring = ring
        self._captures = captures
        self._tcp = tcp

    def handle(self, request: object) -> dict[str, object]:
        """The reply to `request`, without its `ok`."""
        if not isinstance(request, dict):
            raise RefusedError(f"a request is a JSON object (valid: command one of {', '.join(_KEYS)})")
        command = request.get("command")
        if not isinstance(command, str) or command not in _KEYS:
            raise RefusedError(f"unknown command {command!r:.60} (valid: {', '.join(_KEYS)})")
        if unknown := sorted(set(request) - _KEYS[command]):
            raise RefusedError(f"unknown key {unknown[0]!r:.60} (valid: {', '.join(sorted(_KEYS[command]))})")
        if command == "start":
            return self._start(request)
        if command == "stop":
            self._captures.stop()
            return asdict(self._captures.tally)
        return self._status()

    def _start(self, request: Mapping[str, Any]) -> dict[str, object]:
        order = parse_order(request)
        self._tcp.accept_waiting()
        wanted = _integer(request, "clients", 0, 0, 1 << 16)
        connected = sum(client.open for client in self._tcp.clients)
        if connected < wanted:
            raise RefusedError(f"{connected} readers are connected (valid: at least {wanted}, as asked for)")
        return {"capture": self._captures.start(order)}

    def _status(self) -> dict[str, object]:
        self._tcp.accept_waiting()
        device = {
            "open": True,
            "fabric_id": self._ring.fabric_id,
            "block_bytes": self._ring.block_bytes,
            "blocks": self._ring.blocks,
        }
        return {
            "version": VERSION,
            "board": self._facts.board,
            "device": device,
            "state": "running" if self._captures.running else "idle" if self._tcp.idle else "draining",
            **self._captures.status(),
            "clients": sum(client.open for client in self._tcp.clients),
            **asdict(self._tcp.counters),
        }


def parse_order(request: Mapping[str, Any]) -> Order:
    """What `start` asks for. Raises RefusedError that names the key, its value and what is valid."""
    pattern = request.get("pattern", "counter")
    if not isinstance(pattern, str) or pattern not in abi.PATTERNS:
        raise RefusedError(f"pattern: {pattern!r:.60} (valid: {', '.join(abi.PATTERNS)})")
    rate = _integer(request, "rate", 0, 0, MAX_RATE)
    if request.get("bytes") is None:
        return Order(pattern, rate)
    size = _integer(request, "bytes", 0, WORD_BYTES, MAX_BYTES)
    if size % WORD_BYTES:
        raise RefusedError(f"bytes: {size} (valid: a multiple of {WORD_BYTES}, or null: until stop)")
    return Order(pattern, rate, size)


def _integer(request: Mapping[str, Any], key: str, default: int, least: int, most: int) -> int:
    value = request.get(key, default)
    if type(value) is not int or not least <= value <= most:  # bool is an int, and not meant
        raise RefusedError(f"{key}: {value!r:.60} (valid: an integer from {least} to {most})")
    return value
