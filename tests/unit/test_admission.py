# SPDX-License-Identifier: MIT
"""Letting this computer in, and the status page through SSH: what the board says is passed on."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from firmware import admission
from firmware.errors import TargetError, UserError
from firmware.forwarding import LOOPBACK, forward
from firmware.ssh import Result

pytestmark = pytest.mark.unit


class Board:
    """Stands in for a Target."""

    name = "board-7"

    def __init__(self, status: int, stderr: str = "") -> None:
        """Answers every command so."""
        self.result = Result(status, "", stderr)
        self.commands: list[Any] = []

    def run(self, command: Any, **_: Any) -> Result:
        """See Target."""
        self.commands.append(command)
        return self.result

    def connect(self) -> None:
        """See Target."""


def test_board_that_does_not_let_us_in_says_why() -> None:
    board: Any = Board(1, "capturectl: the service does not answer")
    with pytest.raises(TargetError, match=r"board-7: does not let this computer read .*does not answer"):
        admission.admit(board)


def test_address_is_the_one_that_the_board_sees() -> None:
    board: Any = Board(0)
    admission.admit(board)
    assert 'capturectl allow "${SSH_CONNECTION%% *}"' in board.commands[0][2]


def test_port_that_is_taken_is_refused() -> None:
    board: Any = Board(0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"--port: {port}: .*valid: a free port"),
            forward(board, (LOOPBACK, 1), port),
        ):
            pass
