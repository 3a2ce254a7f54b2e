# SPDX-License-Identifier: MIT
"""Wait for what QEMU can only be asked about: `until(lambda: watchdog.bites == 1, 60.0)`."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_AGAIN = 0.1  # seconds: paces the questions, the answer is what counts


def until(true: Callable[[], bool], seconds: float) -> None:
    """Ask until it is `true`. Raises AssertionError when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(LOOK_AGAIN)
