# SPDX-License-Identifier: MIT
"""The ring while there is no device: nothing comes, and a start is refused."""

from __future__ import annotations

from collections.abc import Sequence

from captured.errors import RefusedError
from captured.facts import Facts
from captured.ring import Filled, Ring, Statistics


class NoRing(Ring):
    """Stands in until the device is there."""

    def __init__(self, facts: Facts, reason: str) -> None:
        """`reason` is why there is none."""
        self.block_bytes = facts.block_bytes
        self.blocks = facts.blocks
        self.fabric_id = facts.fabric_id
        self.memory = memoryview(b"")
        self.reason = reason

    def fileno(self) -> int:
        """See Ring: nothing to poll."""
        return -1

    def start(self, pattern: int, rate: int) -> None:
        """See Ring."""
        raise RefusedError(f"{self.reason}; waiting for the device (valid: when status says that it is open)")

    def stop(self) -> None:
        """See Ring."""

    def dequeue(self) -> list[Filled]:
        """See Ring."""
        return []

    def enqueue(self, places: Sequence[int]) -> None:
        """See Ring."""

    def statistics(self) -> Statistics:
        """See Ring."""
        return Statistics(0, 0, 0, 0, 0, 0, 0, 0, 0)

    def close(self) -> None:
        """See Ring."""
