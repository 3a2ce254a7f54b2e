# SPDX-License-Identifier: MIT
"""What the service tells of itself: the status, and the same figures for Prometheus (text format 0.0.4)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captured.errors import DeviceError
from captured.facts import Facts

if TYPE_CHECKING:
    from captured.service import Service

VERSION = 1
RELEASE = Path("/usr/share/cyclone-capture/release.json")
COMMAND_LINE = Path("/proc/cmdline")
MEMORY = Path("/proc/self/statm")
THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
PAGE_BYTES = 4096


class Status:
    """Collects it."""

    def __init__(self, service: Service, board: Facts) -> None:
        """Facts that do not change are read once."""
        self._service = service
        self._board = board
        self._started = time.monotonic()
        self._version = _release().get("version")
        self._slot = _slot()

    def whole(self) -> dict[str, object]:
        """The status (docs/stream-format.md)."""
        service = self._service
        service.tcp.accept_waiting()
        told = self._captures()  # first: it may find that the device is gone
        ring, captures = service.ring, service.captures
        device = {
            "open": service.device_open,
            "fabric_id": ring.fabric_id,
            "block_bytes": ring.block_bytes,
            "blocks": ring.blocks,
            "losses": service.device_losses,
            "reason": getattr(ring, "reason", None),
        }
        idle = service.tcp.idle and service.disk.idle
        return {
            "version": VERSION,
            "board": self._board.board,
            "release": self._version,
            "slot": self._slot,
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            "temperature": _number(THERMAL, 1000),
            "memory_bytes": (_number(MEMORY, 1) or 0) * PAGE_BYTES,
            "device": device,
            "configuration": {"error": service.config_error or None},
            "state": "running" if captures.running else "idle" if idle else "draining",
            **told,
            "clients": len(service.tcp.sinks()),
            **asdict(service.tcp.counters),
            "sinks": service.sinks(),
            "disk": service.disk.status(),
        }

    def _captures(self) -> dict[str, object]:
        try:
            return self._service.captures.status()
        except DeviceError as error:
            self._service.device_failed(error)  # now there is a ring that answers, be it none
            return self._service.captures.status()

    def metrics(self) -> str:
        """The figures that a monitor wants."""
        return "".join(_metrics(self.whole()))


COUNTERS = {
    "bytes_taken": "Bytes of the latest capture",
    "blocks_taken": "Blocks of the latest capture",
    "lost_bytes": "Bytes that the source lost in the latest capture",
    "gaps": "Blocks with a gap in the latest capture",
    "errors": "Blocks with a DMA error in the latest capture",
    "clients": "Readers now",
    "clients_accepted": "Readers since the service started",
    "clients_dropped": "Readers gone in the middle of a capture",
    "clients_refused": "Connections that were not let in",
    "blocks_sent": "Blocks given to the kernel, all readers together",
    "bytes_sent": "Their bytes",
    "completions": "Zero-copy calls that the kernel completed",
    "copied": "Those that it copied after all",
    "no_buffers": "ENOBUFS seen",
    "plain_bytes": "Payload bytes sent by copying",
    "memory_bytes": "Resident memory and text of the service",
    "uptime_seconds": "Since the service started",
}
_SINK = ("held", "blocks", "bytes", "gaps", "dropped_bytes", "written", "synced")
_GROWING = ("clients_accepted", "clients_dropped", "clients_refused", "blocks_sent", "bytes_sent", "completions")
_GROWING_TOO = ("copied", "no_buffers", "plain_bytes")


def _metrics(status: dict[str, Any]) -> Iterator[str]:
    yield from _one("device_open", "Whether the capture device is there", int(status["device"]["open"]))
    yield from _one("device_losses", "Times that the device went away", status["device"]["losses"], "counter")
    yield from _one("running", "Whether a capture runs", int(status["state"] == "running"))
    for name, said in COUNTERS.items():
        kind = "counter" if name in _GROWING + _GROWING_TOO else "gauge"
        yield from _one(name, said, status[name], kind)
    for name, value in status["ring"].items():
        yield from _one(f"ring_{name}", "The driver's counter of that name", value)
    yield from _one("ring_blocks", "Blocks of the ring", status["device"]["blocks"])
    if status["disk"]["free_bytes"] is not None:
        yield from _one("disk_free_bytes", "Free in the folder of recordings", status["disk"]["free_bytes"])
    for key in _SINK:
        rows = [one for one in status["sinks"] if key in one]
        if rows:
            yield f"# HELP captured_sink_{key} Of each sink, by name and kind.\n# TYPE captured_sink_{key} gauge\n"
        for one in rows:
            yield f'captured_sink_{key}{{sink="{_label(one["name"])}",kind="{one["kind"]}"}} {one[key]}\n'


def _one(name: str, said: str, value: float, kind: str = "gauge") -> Iterator[str]:
    suffix = "_total" if kind == "counter" else ""
    full = f"captured_{name}{suffix}"
    yield f"# HELP {full} {said}.\n# TYPE {full} {kind}\n{full} {value}\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _release() -> dict[str, Any]:
    try:
        found = json.loads(RELEASE.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _slot() -> str | None:
    try:
        words = COMMAND_LINE.read_text().split()
    except OSError:
        return None
    return next((word.partition("=")[2] for word in words if word.startswith("rauc.slot=")), None)


def _number(path: Path, divisor: int) -> float | None:
    """A figure of the kernel's, or None where there is none; the second word of several (statm: resident)."""
    try:
        words = path.read_text().split()
        return int(words[min(1, len(words) - 1)]) / divisor
    except (OSError, ValueError, IndexError):
        return None
