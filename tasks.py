# SPDX-License-Identifier: MIT
"""Invoke tasks: each loads what it needs and calls one function of `firmware/`. Run them through `./inv`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from firmware import board as boards_module
from firmware.errors import FirmwareError


def guarded(body: Callable[..., None]) -> Callable[..., None]:
    """Turn an error that is no bug into one message and its exit status, so that a chain stops there."""

    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            body(*args, **kwargs)
        except FirmwareError as error:
            raise Exit(f"error: {error}", code=error.exit_status) from error

    return wrapper


@task
@guarded
def boards(_context: Context) -> None:
    """List the boards, each with its title; every board file is checked."""
    for name in boards_module.names():
        default = " (default)" if name == boards_module.DEFAULT_BOARD else ""
        print(f"{name:16} {boards_module.load(name).title}{default}")


@task(help={"only": "a pytest -k expression"})
@guarded
def check(context: Context, only: str = "") -> None:
    """Run the linters and the tests: what CI runs."""
    selection = f" -k {only!r}" if only else ""
    context.run(f"{sys.executable} -m pytest{selection}", pty=sys.stdout.isatty())
