# SPDX-License-Identifier: MIT
"""QMP, QEMU's control channel: one command, one answer, over a socket that is connected already.

Blocking on purpose, as the callers are: PyPI's `qemu.qmp` is asyncio throughout and would bring an event loop (left
open by its blocking wrapper) into programs that have none. Protocol: QEMU's docs/interop/qmp-spec.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from firmware.errors import TargetError

SECONDS = 30.0


class Qmp:
    """A session. Use as a context manager. Errors are TargetError: QEMU refuses, has ended, or is silent too long."""

    def __init__(self, connection: socket.socket, host: str, seconds: float = SECONDS) -> None:
        """Take over `connection`, read the greeting and leave negotiation mode; `host` is for messages."""
        self._socket = connection
        self._host = host
        self._socket.settimeout(seconds)
        self._lines = connection.makefile("r", encoding="utf-8")
        self._events: list[str] = []
        try:
            self._read()
            self("qmp_capabilities")
        except TargetError:
            self.close()
            raise

    def __enter__(self) -> Qmp:
        """Return the session."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the session."""
        self.close()

    def __call__(self, command: str, **arguments: object) -> Any:
        """Run `command`; its `return` value."""
        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise TargetError(self._host, f"QMP {command}: {error}") from error
        while True:
            answer = self._read()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise TargetError(self._host, f"QMP {command}: {answer['error'].get('desc')}")
            self._events.append(str(answer.get("event")))

    def wait_for(self, event: str, seconds: float) -> None:
        """Wait until `event` has come since the session began, or since it was last waited for.

        Raises TargetError when it has not within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while event not in self._events:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            self._events.append(str(self._read().get("event")))
        self._socket.settimeout(SECONDS)
        del self._events[: self._events.index(event) + 1]

    def close(self) -> None:
        """Close the connection; QEMU runs on."""
        self._lines.close()
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise TargetError(self._host, f"QMP: {error}") from error
        if not line:
            raise TargetError(self._host, "QMP: QEMU has closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer
