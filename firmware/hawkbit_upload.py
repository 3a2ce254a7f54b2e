# SPDX-License-Identifier: MIT
"""A file as an HTTP form (multipart/form-data, RFC 7578), read piece by piece while it is sent, with its progress.

A bundle has a hundred MiB and more: it is never in memory as a whole. `requests` takes anything that has a length and
`read`. What was sent is told in bytes, with a rate and an end.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from firmware.transfer import MIB, Say

EVERY_SECONDS = 5.0
PIECE = 1 << 20


class Form:
    """A form whose only field, `file`, is the file at `path`; `say` gets a line every few seconds."""

    def __init__(self, path: Path, say: Say) -> None:
        """Open the file; `close` ends that."""
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file, self._say = path.open("rb"), say
        self.size = path.stat().st_size
        disposition = f'form-data; name="file"; filename="{path.name}"'  # a manifest's file name: no quotes in it
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
        self._head, self._tail = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        self._length = len(self._head) + self.size + len(self._tail)
        self.sent, self._started = 0, time.monotonic()
        self._shown = self._started

    def __len__(self) -> int:
        """Bytes of the whole form."""
        return self._length

    def read(self, wanted: int = -1) -> bytes:
        """The next piece, not longer than `wanted` bytes if that is not negative; empty at the end."""
        wanted = PIECE if wanted < 0 else min(wanted, PIECE)
        if self._head:
            piece, self._head = self._head[:wanted], self._head[wanted:]
        elif piece := self._file.read(wanted):
            self.sent += len(piece)
            self._progress()
        else:
            piece, self._tail = self._tail[:wanted], self._tail[wanted:]
        return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def facts(self) -> str:
        """Bytes sent so far, their rate, and the time that is left."""
        seconds = max(time.monotonic() - self._started, 1e-3)
        rate = self.sent / seconds
        left = f", {(self.size - self.sent) / rate:.0f} s left" if 0 < self.sent < self.size else ""
        return (
            f"{self.sent / MIB:6.1f} of {self.size / MIB:.1f} MiB sent, {rate / MIB:.1f} MiB/s, {seconds:.0f} s{left}"
        )

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._shown >= EVERY_SECONDS:
            self._shown = now
            self._say(f"  {self.facts()}")
