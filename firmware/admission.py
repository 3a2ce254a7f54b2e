# SPDX-License-Identifier: MIT
"""Who may read a board's stream: nobody by default. Whoever may log in can let their own computer in.

The address is the one that the board itself sees at the other end of the SSH connection, so it is right behind a
translating router and for the emulated board alike. It holds until the board's service ends; what is to hold for good
stands in the board's `/data/captured/captured.toml` (docs/service.md).
"""

from __future__ import annotations

from firmware.errors import TargetError
from firmware.ssh import Target

SCRIPT = """
end=$(($(date +%s) + 60))
while ! said=$(sudo -n capturectl allow "${SSH_CONNECTION%% *}" 2>&1); do
    if [ "$(date +%s)" -gt "$end" ]; then
        echo "$said" >&2
        exit 1
    fi
    sleep 0.2
done
"""
SECONDS = 90.0


def admit(target: Target) -> None:
    """Let this computer read the stream; waits for a service that is starting. Raises TargetError."""
    done = target.run(["sh", "-c", SCRIPT], timeout=SECONDS)
    if done.status:
        raise TargetError(target.name, f"does not let this computer read the stream: {done.stderr.strip()}")
