# SPDX-License-Identifier: MIT
"""Invoke tasks: each loads what it needs and calls one function of `firmware/`. Run them through `./inv`.

Options `--board`, `--engine` and `--host` hold for the tasks behind them in a chain. Imports are made where they are
used, so that `./inv boards` does not wait for what only `deploy` needs.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task as invoke_task

from firmware.choice import Choice
from firmware.errors import FirmwareError

task = functools.partial(invoke_task, auto_shortflags=False)  # else -h would mean --host
CHOICE = Choice()
WHERE = {"board": "board's name, see ./inv boards", "engine": "debian or yocto"}
HOST = {"host": "[user@]name[:port] of a real board; without it the emulated one"}


def guarded(body: Callable[..., None]) -> Callable[..., None]:
    """Turn an error that is no bug into one message and its exit status, so that a chain stops there."""

    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            body(*args, **kwargs)
        except FirmwareError as error:
            raise Exit(f"error: {error}", code=error.exit_status) from error
        except KeyboardInterrupt as error:
            raise Exit("interrupted: the same command goes on from the last finished step", code=130) from error

    return wrapper


@task
@guarded
def boards(_context: Context) -> None:
    """List the boards, each with its title; every board file is checked."""
    from firmware import board

    for name in board.names():
        default = " (default)" if name == board.DEFAULT_BOARD else ""
        print(f"{name:16} {board.load(name).title}{default}")


@task
@guarded
def doctor(_context: Context) -> None:
    """Say whether this host is able to build, and what to do if not."""
    from firmware import doctor

    doctor.report()


@task(help=WHERE)
@guarded
def render(_context: Context, board: str | None = None, engine: str | None = None) -> None:
    """Render every generated file of both engines into build/<board>/rendered/."""
    from firmware import rendering

    chosen = CHOICE.update(board, engine).board
    changed = rendering.write(chosen)
    print(f"{rendering.folder(chosen)}: {len(changed)} files changed")


@task(help=WHERE | {"update": "look for newer Debian packages first"})
@guarded
def build(_context: Context, board: str | None = None, engine: str | None = None, update: bool = False) -> None:
    """Make the image, the bundle, the SBOM and the manifest; what has not changed is not made again."""
    from firmware import engine as engines

    choice = CHOICE.update(board, engine)
    print(engines.build(choice.board, choice.engine, update=update).summary())


@task(
    help=WHERE
    | {
        "stop": "power the emulated board off",
        "fresh": "start over with a card made from the image",
        "headless": "start it, wait until it answers, say how it is reached, and leave",
        "snapshot": "leave the card untouched: what is written is forgotten at power-off",
    }
)
@guarded
def emulate(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    stop: bool = False,
    fresh: bool = False,
    headless: bool = False,
    snapshot: bool = False,
) -> None:
    """Console of the emulated board; starts it when it is off. Ctrl-] leaves, the board runs on."""
    from firmware import reach

    how = reach.Wanted(stop=stop, fresh=fresh, headless=headless, snapshot=snapshot)
    reach.console(CHOICE.update(board, engine), how)


@task(
    help=WHERE
    | HOST
    | {
        "force": "even when the board runs this version already",
        "only": "a recipe's name: push just that, for now, without an upgrade (lost at the next boot)",
        "accept_host_key": "SHA256:... of a board that is not known yet",
    }
)
@guarded
def deploy(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    host: str | None = None,
    force: bool = False,
    only: str | None = None,
    accept_host_key: str | None = None,
) -> None:
    """Bring the built version onto the board: a signed upgrade of the other slot, kept when accepted, else undone."""
    from firmware import rollout

    rollout.deploy(CHOICE.update(board, engine, host), force=force, only=only, accept_host_key=accept_host_key)


@task(name="test", help=WHERE | HOST | {"only": "a pytest -k expression"})
@guarded
def accept(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    host: str | None = None,
    only: str = "",
) -> None:
    """Run the acceptance suite on the board; reports go to build/<board>/reports/."""
    from firmware import acceptance

    acceptance.run(CHOICE.update(board, engine, host), only)


@task(help=WHERE | {"device": "/dev/sdX, the card", "yes": "do not ask"})
@guarded
def flash(
    _context: Context, device: str, board: str | None = None, engine: str | None = None, yes: bool = False
) -> None:
    """Write the image to a card, verify it, and give the card its identity."""
    from firmware import flash, manifest

    choice = CHOICE.update(board, engine)
    flash.flash(device, manifest.load_built(choice.board.name, choice.engine), yes=yes)


@task(help=WHERE | HOST)
@guarded
def ssh(_context: Context, board: str | None = None, engine: str | None = None, host: str | None = None) -> None:
    """Open a shell on the board."""
    from firmware import reach

    reach.shell(CHOICE.update(board, engine, host))


@task(help=WHERE | HOST | {"port": "of this computer's loopback; 0: a free one"})
@guarded
def dashboard(
    _context: Context, board: str | None = None, engine: str | None = None, host: str | None = None, port: int = 7701
) -> None:
    """Show the board's status page in a browser here, through SSH, until Ctrl-C."""
    from firmware import dashboard, reach

    dashboard.run(reach.reach(CHOICE.update(board, engine, host)).target, port)


@task(help={"cache": "also delete the user's cache of stages and sources"})
@guarded
def clean(_context: Context, cache: bool = False) -> None:
    """Delete build/ (keys and known hosts are never touched)."""
    from firmware import cleaning

    cleaning.clean(cache)


@task(help={"only": "a pytest -k expression", "slow": "the slow tier as well, many minutes more"})
@guarded
def check(context: Context, only: str = "", slow: bool = False) -> None:
    """Run the linters and the tests: what CI runs."""
    selection = (f" -k {only!r}" if only else "") + (" --slow" if slow else "")
    context.run(f"{sys.executable} -m pytest{selection}", pty=sys.stdout.isatty())


@task(help={"board": WHERE["board"], "only": "name of one figure"})
@guarded
def bench(_context: Context, board: str | None = None, only: str | None = None) -> None:
    """Measure what a person waits for; figures go to build/reports/bench.json."""
    from firmware import bench

    bench.run(CHOICE.update(board), only)
