# SPDX-License-Identifier: MIT
"""Telling systemd how the service is: sd_notify(3) over its datagram socket. Does nothing when systemd does not ask."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send `state`, such as `READY=1`. A manager that can't be reached is no reason to stop."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), address)


def watchdog_seconds() -> float | None:
    """How often systemd wants to hear `WATCHDOG=1`: half of the time that it waits; None: it does not watch."""
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 2e6
    except (KeyError, ValueError):
        return None
