# SPDX-License-Identifier: MIT
"""What can be asked over the control socket; a request is checked whole before it acts (docs/stream-format.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from captured import abi, config
from captured.capture import Order
from captured.errors import CapturedError, DeviceError, RefusedError

if TYPE_CHECKING:
    from captured.service import Service

MAX_RATE = 0xFFFFFFFF  # the source's RATE register has 32 bits
MAX_BYTES = 1 << 62
WORD_BYTES = 4
_KEYS = {
    "start": {"command", "pattern", "rate", "bytes", "clients"},
    "stop": {"command"},
    "status": {"command"},
    "sinks": {"command"},
    "record": {"command", "name", "pattern", "rate", "bytes", "start"},
    "record-stop": {"command"},
    "allow": {"command", "address"},
    "reload": {"command"},
}


class Commands:
    """Answers requests. `handle` raises RefusedError: nothing was done, or the device would not."""

    def __init__(self, service: Service) -> None:
        """Act on this service."""
        self._service = service
        self._answers: dict[str, Callable[[Mapping[str, Any]], dict[str, object]]] = {
            "start": self._start,
            "stop": self._stop,
            "status": lambda _request: self._service.status(),
            "sinks": lambda _request: {"sinks": self._service.sinks()},
            "record": self._record,
            "record-stop": self._record_stop,
            "allow": self._allow,
            "reload": lambda _request: self._service.reload(),
        }

    def handle(self, request: object) -> dict[str, object]:
        """The reply to `request`, without its `ok`."""
        if not isinstance(request, dict):
            raise RefusedError(f"a request is a JSON object (valid: command one of {', '.join(_KEYS)})")
        command = request.get("command")
        if not isinstance(command, str) or command not in _KEYS:
            raise RefusedError(f"unknown command {command!r:.60} (valid: {', '.join(_KEYS)})")
        if unknown := sorted(set(request) - _KEYS[command]):
            raise RefusedError(f"unknown key {unknown[0]!r:.60} (valid: {', '.join(sorted(_KEYS[command]))})")
        try:
            return self._answers[command](request)
        except DeviceError as error:
            self._service.device_failed(error)
            raise RefusedError(f"{error} (valid: once the device works again, see status)") from error

    def _start(self, request: Mapping[str, Any]) -> dict[str, object]:
        order = parse_order(request)
        tcp = self._service.tcp
        tcp.accept_waiting()
        wanted = _integer(request, "clients", 0, 0, 1 << 16)
        connected = len(tcp.sinks())
        if connected < wanted:
            raise RefusedError(f"{connected} readers are connected (valid: at least {wanted}, as asked for)")
        return {"capture": self._service.captures.start(order)}

    def _stop(self, _request: Mapping[str, Any]) -> dict[str, object]:
        self._service.captures.stop()
        return asdict(self._service.captures.tally)

    def _record(self, request: Mapping[str, Any]) -> dict[str, object]:
        captures, disk = self._service.captures, self._service.disk
        name = request.get("name")
        if name is not None and not isinstance(name, str):
            raise RefusedError(f"name: {name!r:.60} (valid: a string, or null)")
        start = request.get("start", False)
        if not isinstance(start, bool):
            raise RefusedError(f"start: {start!r:.60} (valid: true, false)")
        order = parse_order(request)
        if not start:
            if {"pattern", "rate", "bytes"} & set(request):
                raise RefusedError("pattern, rate, bytes: belong to a capture that begins (valid: with start true)")
            tally = captures.tally if captures.running else None
            pattern, rate = (tally.pattern or "", tally.rate) if tally else ("", 0)
            return {"recording": disk.begin(name, pattern, rate, None)}
        if captures.running:
            raise RefusedError(f"capture {captures.tally.capture} is running (valid: stop it first, or start false)")
        made = disk.begin(name, order.pattern, order.rate, order.bytes)
        try:
            return {"recording": made, "capture": captures.start(order)}
        except CapturedError:
            disk.stop()
            raise

    def _record_stop(self, _request: Mapping[str, Any]) -> dict[str, object]:
        self._service.disk.stop()
        return {}

    def _allow(self, request: Mapping[str, Any]) -> dict[str, object]:
        try:
            network = config.network(request.get("address"))
        except ValueError as error:
            raise RefusedError(f"address: {request.get('address')!r:.60} (valid: {error})") from error
        try:
            self._service.tcp.grant(network)
        except CapturedError as error:
            raise RefusedError(str(error)) from error
        return {"allowed": str(network)}


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
