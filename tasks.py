# SPDX-License-Identifier: MIT
"""Invoke tasks: each loads what it needs and calls one function of `firmware/`. Run them through `./inv`.

Options `--board`, `--engine` and `--host` hold for the tasks behind them in a chain. Imports are made where they are
used, so that `./inv boards` does not wait for what only `deploy` needs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task as invoke_task

from firmware.choice import Choice
from firmware.command_line import Checked
from firmware.errors import FirmwareError

task = functools.partial(invoke_task, klass=Checked, auto_shortflags=False)  # else -h would mean --host
CHOICE = Choice()
WHERE = {"board": "board's name, see ./inv boards", "engine": "debian or yocto"}
SEVERAL = WHERE | {"board": "board's name, see ./inv boards; or several: a,b"}
HOST = {"host": "[jump,][user@]name[:port] of a real board; without it the emulated one"}
KEY = {"accept_host_key": "SHA256:... of a board that is not known yet"}


def guarded(body: Callable[..., None]) -> Callable[..., None]:
    """Turn an error that is no bug into one message and its exit status, so that a chain stops there."""

    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            body(*args, **kwargs)
        except FirmwareError as error:
            raise Exit(f"error: {error}", code=error.exit_status) from error
        except OSError as error:
            from firmware import host_error

            if (known := host_error.explain(error)) is None:
                raise
            raise Exit(f"error: {known}", code=known.exit_status) from error
        except KeyboardInterrupt as error:
            raise Exit("interrupted: the same command goes on from the last finished step", code=130) from error

    return wrapper


@task
@guarded
def boards(_context: Context) -> None:
    """List the boards, each with its title; every board file is checked."""
    from firmware import board

    for name in board.names():
        print(f"{name:16} {board.load(name).title}{' (default)' if name == board.DEFAULT_BOARD else ''}")


@task(help=SEVERAL)
@guarded
def doctor(_context: Context, board: str | None = None, engine: str | None = None) -> None:
    """Say whether this host is able to build, and what to do if not."""
    from firmware import doctor, doctor_yocto

    choice = CHOICE.update(board, engine)
    doctor.report(doctor_yocto.examine(choice.boards) if choice.engine == "yocto" else None)


@task(help=SEVERAL)
@guarded
def render(_context: Context, board: str | None = None, engine: str | None = None) -> None:
    """Render every generated file of both engines into build/<board>/rendered/."""
    from firmware import rendering

    for chosen in CHOICE.update(board, engine).boards:
        changed = rendering.write(chosen)
        print(f"{rendering.folder(chosen)}: {len(changed)} files changed")


@task(
    help=SEVERAL
    | {
        "update": "look for newer Debian packages first",
        "target": "yocto: build this recipe alone",
        "debug": "yocto: with the kernel's flavour for tests; nothing is published",
        "shell": "yocto: a shell with bitbake and devtool, in place of the build",
        "cve": "yocto: look the image up in the databases of known vulnerabilities; nothing is published",
    }
)
@guarded
def build(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    update: bool = False,
    target: str | None = None,
    debug: bool = False,
    shell: bool = False,
    cve: bool = False,
) -> None:
    """Make the image, the bundle, the SBOM and the manifest; what has not changed is not made again."""
    from firmware import engine as engines
    from firmware import release, yocto_build

    choice = CHOICE.update(board, engine)
    wishes = release.Wishes(target, debug, shell, cve)
    if wishes != release.Wishes():
        print(yocto_build.only(choice.boards, choice.engine, wishes))
        return
    for made in engines.build_all(choice.boards, choice.engine, update):
        print(made.summary())


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

    reach.console(CHOICE.update(board, engine), reach.Wanted(stop, fresh, headless, snapshot))


@task(
    help=WHERE
    | HOST
    | KEY
    | {
        "force": "even when the board runs this version already",
        "dry_run": "make all checks, with the board, and change nothing",
        "no_accept": "commit when the board's own health checks pass, without a capture",
        "allow_downgrade": "also below the version that the board runs: a permission that is signed into the bundle",
        "boot_loader": "then make SPL and U-Boot those of the new version, too, and boot with them",
        "fleet": "a fleet.yaml: all of its boards, in waves (docs/upgrade.md); with --group or --tag a part of them",
        "group": "of the fleet",
        "tag": "of the fleet",
        "only": "a recipe's name: push just that, for now, without an upgrade (lost at the next boot)",
    }
)
@guarded
def deploy(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    host: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    no_accept: bool = False,
    allow_downgrade: bool = False,
    boot_loader: bool = False,
    fleet: str | None = None,
    group: str = "",
    tag: str = "",
    only: str | None = None,
    accept_host_key: str | None = None,
) -> None:
    """Bring the built version onto the board: a signed upgrade of the other slot, kept when accepted, else undone."""
    from firmware import rollout

    wish = rollout.Wish(force, dry_run, not no_accept, allow_downgrade, boot_loader)
    rollout.Scope(only, fleet, group, tag).check(wish, host)
    if fleet:
        rollout.to_fleet(CHOICE.update(board, engine), Path(fleet), wish, group, tag, accept_host_key)
        return
    rollout.deploy(CHOICE.update(board, engine, host), wish, only=only, accept_host_key=accept_host_key)


@task(
    help=WHERE
    | {
        "server": "https://HOST[:PORT][/PATH] of an Eclipse hawkBit server; else the board file's",
        "credentials": "a file with user and password, or token; else the environment (docs/upgrade.md)",
        "ca_file": "certificates (PEM) that the server is verified by; else what this computer trusts",
        "module_type": "key of the software module's type",
        "set_type": "key of the distribution set's type",
        "target_filter": "hawkBit's query: prepare a roll-out to the boards that it finds",
        "groups": "of the roll-out: so many waves",
        "stop_share": "of the roll-out, 0 to 1: a larger share of failed boards in a wave pauses it",
        "start": "start the roll-out",
        "allow_downgrade": "a bundle that boards with a newer version may take, too",
        "dry_run": "make all checks, with the server, and change nothing",
    }
)
@guarded
def publish(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    server: str = "",
    credentials: str | None = None,
    ca_file: str | None = None,
    module_type: str = "os",
    set_type: str = "os",
    target_filter: str = "",
    groups: int = 10,
    stop_share: float = 0.1,
    start: bool = False,
    allow_downgrade: bool = False,
    dry_run: bool = False,
) -> None:
    """Hand the built, signed bundle to an Eclipse hawkBit server; what is there already is not made again."""
    from firmware import hawkbit_rollout, publication

    waves = hawkbit_rollout.Waves(target_filter, groups, stop_share) if target_filter else None
    to = (server, credentials, ca_file, module_type, set_type, waves, start)
    publication.run(CHOICE.update(board, engine), publication.Wish(*to, dry_run, allow_downgrade))


@task(help=WHERE | HOST | KEY | {"json": "for a program"})
@guarded
def status(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    host: str | None = None,
    json: bool = False,
    accept_host_key: str | None = None,
) -> None:
    """Say which version a board runs, in which slot, what is on trial, and how the last upgrade ended."""
    from firmware import reach, slots

    with reach.reach(CHOICE.update(board, engine, host), accept_host_key).target as target:
        slots.show(target, as_json=json)


@task(help=WHERE | HOST | {"no_accept": "commit when the board's own health checks pass, without a capture"})
@guarded
def rollback(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    host: str | None = None,
    no_accept: bool = False,
) -> None:
    """Bring a board back to its other slot, tried and committed like an upgrade; a trial is given up."""
    from firmware import rollout

    rollout.rollback(CHOICE.update(board, engine, host), rollout.Wish(accept=not no_accept))


@task(
    name="test",
    help=WHERE
    | HOST
    | {
        "only": "a pytest -k expression",
        "quick": "no upgrades, no reboot by the watchdog: minutes less",
        "gib": "GiB of the long capture",
        "lg_env": "a labgrid environment: the lab's power and console of the board, for a cold start",
        "power_cuts": "instead of the suite, cut the emulated board's power in so many upgrades",
        "seed": "of the power cuts: the same seed gives the same cuts",
    },
)
@guarded
def accept(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    host: str | None = None,
    only: str = "",
    quick: bool = False,
    gib: int = 1,
    lg_env: str = "",
    power_cuts: int = 0,
    seed: int = 1,
) -> None:
    """Run the acceptance suite on the board; reports go to build/<board>/reports/."""
    from firmware import acceptance, campaign, campaign_run

    if power_cuts:
        campaign.refuse(only=bool(only), quick=quick, gib=gib != 1, lg_env=bool(lg_env))
        campaign_run.run(CHOICE.update(board, engine, host), power_cuts, seed)
        return
    acceptance.run(CHOICE.update(board, engine, host), only, quick=quick, gib=gib, lab=lg_env)


@task(help={"board": WHERE["board"], "compare": "with the last good run; exit status 1 when something is worse"})
@guarded
def report(_context: Context, board: str | None = None, compare: bool = False) -> None:
    """Show the last acceptance run; exit status 1 when it was not accepted."""
    from firmware import report

    if not report.show(CHOICE.update(board).board.name, compare):
        raise Exit("", code=1)


@task(help=WHERE | {"device": "/dev/sdX, the card", "yes": "do not ask"})
@guarded
def flash(
    _context: Context, device: str, board: str | None = None, engine: str | None = None, yes: bool = False
) -> None:
    """Write the image to a card, verify it, and give the card its identity."""
    from firmware import flash, manifest

    choice = CHOICE.update(board, engine)
    flash.flash(device, manifest.load_built(choice.board.name, choice.engine), yes=yes)


@task(help=WHERE | {"image": "the file of an image; without it the built one"})
@guarded
def verify_image(
    _context: Context, board: str | None = None, engine: str | None = None, image: str | None = None
) -> None:
    """Say whether an image is sound: boot ROM, U-Boot, environment, slots, file systems. Needs no root rights."""
    from firmware import verification

    verification.run(CHOICE.update(board, engine), image)


@task(help=WHERE | HOST | KEY)
@guarded
def ssh(
    _context: Context,
    board: str | None = None,
    engine: str | None = None,
    host: str | None = None,
    accept_host_key: str | None = None,
) -> None:
    """Open a shell on the board."""
    from firmware import reach

    reach.shell(CHOICE.update(board, engine, host), accept_host_key)


@task(help=WHERE | HOST | {"port": "of this computer's loopback; 0: a free one"})
@guarded
def dashboard(
    _context: Context, board: str | None = None, engine: str | None = None, host: str | None = None, port: int = 7701
) -> None:
    """Show the board's status page in a browser here, through SSH, until Ctrl-C."""
    from firmware import dashboard, reach

    dashboard.run(reach.reach(CHOICE.update(board, engine, host)).target, port)


@task(help={"update": "move every layer to the newest commit of its branch", "names": "list anew what they provide"})
@guarded
def lock(_context: Context, update: bool = False, names: bool = False) -> None:
    """Show at which commits the Yocto engine takes its layers; --update shows what moves, and moves it."""
    from firmware import lock
    from firmware import names as upstream

    lock.report(update)
    if names:
        upstream.update()


@task(help={"to": "its folder", "board": WHERE["board"], "layers_only": "the layers' repositories, not the sources"})
@guarded
def mirror(_context: Context, to: str, board: str | None = None, layers_only: bool = False) -> None:
    """Fill a mirror, from which the Yocto engine builds without a network."""
    from firmware import mirror

    mirror.fill(CHOICE.update(board).board, to, layers_only)


@task(help={"cache": "also delete the user's cache of stages and sources"})
@guarded
def clean(_context: Context, cache: bool = False) -> None:
    """Delete build/ (keys and known hosts are never touched)."""
    from firmware import cleaning

    cleaning.clean(cache)


@task(help={"only": "a pytest -k expression", "slow": "the slow tier as well, many minutes more"})
@guarded
def check(_context: Context, only: str = "", slow: bool = False) -> None:
    """Run the linters and the tests: what CI runs."""
    from firmware import checking

    if status := checking.run(only, slow):
        raise Exit("", code=status)


@task(help={"board": WHERE["board"], "only": "name of one figure"} | HOST)
@guarded
def bench(_context: Context, board: str | None = None, only: str | None = None, host: str | None = None) -> None:
    """Measure costs and what a person waits for; figures go to build/reports/bench.json, .md and .svg."""
    from firmware import bench

    bench.run(CHOICE.update(board, host=host), only)
