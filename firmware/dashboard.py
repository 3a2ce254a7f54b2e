# SPDX-License-Identifier: MIT
"""The board's status page in a browser here: a port of this computer's loopback, carried to the board's by SSH.

The page listens on the board's loopback only and is never seen by the network; whoever may log in may see it. The
browser's connections are answered by a thread each, until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

from firmware.errors import TargetError, UserError
from firmware.forwarding import LOOPBACK, forward
from firmware.ssh import Target

BOARD_PORT = 7701  # http.port, see docs/service.md


def run(target: Target, port: int = BOARD_PORT) -> None:
    """Show where the page is, and carry it until Ctrl-C. Raises TargetError: no service; UserError: the port."""
    if not 0 <= port < 65536:
        raise UserError(f"--port: {port} (valid: 1 to 65535, or 0 for a free one)")
    with target, forward(target, (LOOPBACK, BOARD_PORT), port) as here:
        _probe(target, here)
        print(f"status page: http://{LOOPBACK}:{here}/ (Ctrl-C ends)", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _probe(target: Target, here: int) -> None:
    with socket.create_connection((LOOPBACK, here), timeout=30) as probe:
        probe.sendall(f"GET /status.json HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode())
        if not probe.recv(64).startswith(b"HTTP/1.1 200"):
            raise TargetError(target.name, "the status page does not answer (valid: captured runs, http.port is 7701)")
