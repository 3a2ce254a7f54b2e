# SPDX-License-Identifier: MIT
"""Logging to systemd's journal with fields (systemd.journal-fields(7)), over its native datagram protocol.

Fields that a caller passes in `extra={"fields": {...}}` become `CAPTURED_<NAME>`. Without a journal, standard error.
"""

from __future__ import annotations

import logging
import socket
import struct
import sys

SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


class JournalHandler(logging.Handler):
    """One datagram a record."""

    def __init__(self, path: str = SOCKET) -> None:
        """Connect. Raises OSError: no journal there."""
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        """Send `record`; a journal that is away for a moment loses it, the service goes on."""
        try:
            self._socket.send(datagram(self.format(record), record))
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def datagram(message: str, record: logging.LogRecord) -> bytes:
    """The journal's fields of `record`: `NAME=value`, or the length-prefixed form when the value has several lines."""
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(next((number for level, number in _PRIORITIES if record.levelno >= level), 7)),
        "SYSLOG_IDENTIFIER": "captured",
        "LOGGER": record.name,
    }
    fields |= {f"CAPTURED_{name.upper()}": str(value) for name, value in getattr(record, "fields", {}).items()}
    lines = []
    for name, value in fields.items():
        data = value.encode()
        lines.append(
            name.encode() + (b"\n" + struct.pack("<Q", len(data)) + data if b"\n" in data else b"=" + data) + b"\n"
        )
    return b"".join(lines)


def set_up(level: int = logging.INFO) -> None:
    """Send all logging to the journal, or to standard error where there is none."""
    handler: logging.Handler
    try:
        handler = JournalHandler()
    except OSError:
        handler = logging.StreamHandler(sys.stderr)
    logging.basicConfig(level=level, handlers=[handler], format="%(message)s")
