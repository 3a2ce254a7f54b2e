# SPDX-License-Identifier: MIT
"""Waiting for a board's start-up: as root, whom alone systemd always tells its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from firmware import start_up
from firmware.ssh import Late, Result, Target

pytestmark = pytest.mark.unit


class Board:
    """A board whose start-up ends while somebody waits: only root hears of it."""

    def run(self, command: Sequence[str], sudo: bool = False, timeout: float = 0.0) -> Result:
        """As systemctl does there."""
        assert tuple(command) == ("systemctl", "is-system-running", "--wait")
        if not sudo:
            raise Late("board-7", f"did not end within {timeout:g} s")
        return Result(1, "degraded\n", "")


def test_end_of_start_up_is_heard_and_told() -> None:
    assert start_up.wait(cast(Target, Board())) == "degraded"
