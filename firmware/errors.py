# SPDX-License-Identifier: MIT
"""Errors, forked by who must act.

* `UserError` (exit status 2): the input is wrong; the message says what would be valid.
* `ToolError` (exit status 3): a program that we ran failed; carries its command, exit status and the end of its log.
* `TargetError` (exit status 4): the board, or a server, failed; carries the host and what it said.

Anything else is a bug of ours: a traceback, exit status 1.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence


class FirmwareError(Exception):
    """Root of all errors that are not bugs."""

    exit_status = 1


class UserError(FirmwareError):
    """The input is wrong: the user must change it."""

    exit_status = 2


class ToolError(FirmwareError):
    """A program failed: the host, or what it was given, must be mended."""

    exit_status = 3

    def __init__(self, command: Sequence[str], status: int, tail: str, hint: str = "") -> None:
        """Keep the command, its exit status and the last lines that it printed."""
        self.command = tuple(command)
        self.status = status
        self.tail = tail
        text = f"command failed with status {status}: {shlex.join(self.command)}"
        if tail.strip():
            text += "\n" + "\n".join("    " + line for line in tail.strip().splitlines())
        if hint:
            text += f"\n{hint}"
        super().__init__(text)


class TargetError(FirmwareError):
    """The board, or a server, failed or could not be reached."""

    exit_status = 4

    def __init__(self, host: str, said: str) -> None:
        """Keep the host and what it said."""
        self.host = host
        self.said = said
        super().__init__(f"{host}: {said}")
