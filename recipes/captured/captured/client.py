# SPDX-License-Identifier: MIT
"""Asking the service: one request over its control socket, one reply."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captured.errors import CapturedError, RefusedError

CONTROL = Path("/run/captured/control.sock")
TIMEOUT_SECONDS = 10.0


def ask(path: Path, request: Mapping[str, object]) -> dict[str, Any]:
    """The service's reply. Raises RefusedError: it refused; CapturedError: it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(TIMEOUT_SECONDS)
            channel.connect(str(path))
            channel.sendall(json.dumps(request).encode() + b"\n")
            with channel.makefile("rb") as lines:
                reply = json.loads(lines.readline())
    except PermissionError as error:
        raise CapturedError(f"{path}: {error.strerror} (valid: root, or who is in the group capture)") from error
    except (OSError, ValueError) as error:
        raise CapturedError(f"{path}: the service does not answer: {error}") from error
    if not isinstance(reply, dict) or not reply.get("ok"):
        raise RefusedError(str(reply.get("error") if isinstance(reply, dict) else reply))
    return reply
