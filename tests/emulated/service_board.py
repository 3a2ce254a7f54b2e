# SPDX-License-Identifier: MIT
"""The capture service on an emulated board, for tests: asked over SSH, waited for on the board itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.emulated.conftest import Linux

RECORDINGS = "/data/captured/recordings"
POLL = "for i in $(seq 600); do {condition} && exit 0; sleep 0.2; done; capturectl status; exit 1"


def control(linux: Linux, *words: str) -> dict[str, Any]:
    """What `capturectl` says."""
    found: dict[str, Any] = json.loads(linux.target.output(["capturectl", *words, "--json"], sudo=True))
    return found


def shell(linux: Linux, script: str) -> str:
    """Output of a script that root runs."""
    return linux.target.output(["sh", "-c", script], sudo=True, timeout=300)


def wait(linux: Linux, condition: str) -> None:
    """Wait, on the board, until the shell `condition` holds."""
    linux.target.output(["sh", "-c", POLL.format(condition=condition)], sudo=True, timeout=300)


def wait_for(linux: Linux, text: str) -> None:
    """Wait until the status has `text`."""
    wait(linux, f"capturectl status --json | grep -q '{text}'")


def configure(linux: Linux, text: str) -> None:
    """Make `text` the configuration, and in force as far as it is without a restart."""
    linux.target.put(text.encode(), "/data/captured/captured.toml", sudo=True)
    assert "error" not in control(linux, "reload")


def fetch(linux: Linux, name: str) -> bytes:
    """A recording's file, byte for byte."""
    text = linux.target.output(["base64", "-w0", f"{RECORDINGS}/{name}"], sudo=True, timeout=300)
    return base64.b64decode(text)


def journal(linux: Linux) -> str:
    """What the service, and systemd about it, have said since the board is on."""
    return shell(linux, "journalctl -u captured --no-pager -o cat")


def capturing(
    linux: Linux, command: str, *words: str, size: int, clients: int = 1, rate: str = "2MiB"
) -> Callable[[], None]:
    """Begins a capture of `size` bytes, streamed and, with "record", recorded, once `clients` readers are there."""

    def start() -> None:
        wait_for(linux, f'"clients": {clients},')
        extra = ["--start"] if command == "record" else []
        control(linux, command, *extra, *words, f"--bytes={size}", f"--rate={rate}")

    return start
