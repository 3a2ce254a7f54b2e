# SPDX-License-Identifier: MIT
"""A board's start-up: waited for until systemd has started all that it starts.

systemctl is run as root. It then asks systemd by its own socket, where the signal StartupFinished is always sent; over
D-Bus, the way of other users, it is sent only when somebody has subscribed (systemd's src/core/dbus.c,
bus_foreach_bus), which `is-system-running --wait` does not: begun before the signal, it would wait for ever.
"""

from __future__ import annotations

from firmware.ssh import COMMAND_SECONDS, Target

COMMAND = ("systemctl", "is-system-running", "--wait")


def wait(target: Target, timeout: float = COMMAND_SECONDS) -> str:
    """systemd's state when start-up is over: "running", or "degraded" when a unit has failed. Raises TargetError."""
    return target.run(COMMAND, sudo=True, timeout=timeout).stdout.strip()
