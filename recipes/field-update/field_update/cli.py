# SPDX-License-Identifier: MIT
"""field-update: upgrade this board's other slot, try it, and keep it or go back.

    field-update status [--json] [--wait SECONDS]     what is booted, on trial, and how the last trial ended
    field-update install URL [--version V] [--deadline SECONDS] [--ready [--bytes N] [--allow-downgrade]]
                         [--unless-pending]           install a signed bundle into the other slot; reboot tries it;
                                                      --ready: not unless preflight finds the board ready;
                                                      --unless-pending: not over one that waits to be tried
    field-update preflight [--json] [--version V] [--bytes N] [--allow-downgrade]
                                                      what keeps this board from an upgrade now; nothing is changed
    field-update commit                               keep the booted slot, which is on trial
    field-update revert [--reason TEXT]               go back to the other slot now (reboots)
    field-update rollback [--deadline SECONDS]        try the system that the other slot holds (reboots)
    field-update boot-loader                          make SPL and U-Boot those that the running slot carries
    field-update factory-reset                        empty /data but for the board's identity (reboots)
    field-update verify [--gently]                    read the running slot whole: is every block what was installed?
    field-update health                               run the health checks in /usr/lib/field-update/health.d
    field-update boot                                 what field-update-boot.service runs
    field-update data                                 what field-update-data.service runs

A slot that is on trial must be committed before its deadline, counted from power-on, or the board goes back by itself;
so it does when a health check fails or when the slot does not come up, or is damaged. A committed slot that this boot
has found damaged gives way to the other one, once. Exit status: 0 done, 1 refused, 2 usage,
3 not ready (install --ready, --unless-pending), each reason on a line of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from field_update.commands import Commands, NotReady
from field_update.data import Data
from field_update.preflight import Offer
from field_update.state import Trial
from field_update.system import Failure, System

DATA = Path("/data/field-update")
RUN = Path("/run/field-update")
DEADLINE_SECONDS = 1800
NOT_READY = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    options = _parser().parse_args(arguments)
    commands = Commands(System(), DATA, RUN, _say)
    try:
        if options.command == "status":
            _print_status(commands, options)
        elif options.command == "preflight":
            return _preflight(commands, options)
        elif options.command == "health":
            return 1 if commands.health() else 0
        elif options.command == "verify":
            return 1 if commands.verify(options.gently) else 0
        elif options.command == "boot":
            _boot(commands)
        elif options.command == "data":
            _data().boot(System().booted())
        elif options.command == "factory-reset":
            _data().ask_reset()
            System().reboot()
        else:
            with _lock():
                _act(commands, options)
    except NotReady as error:
        print(error, file=sys.stderr)
        return NOT_READY
    except (Failure, OSError) as error:
        print(f"field-update: {error}", file=sys.stderr)
        return 1
    return 0


def _act(commands: Commands, options: argparse.Namespace) -> None:
    if options.command == "install":
        offer = Offer(options.version, options.bytes, options.allow_downgrade) if options.ready else None
        commands.install(options.url, options.version, options.deadline, offer, options.unless_pending)
    elif options.command == "boot-loader":
        commands.boot_loader()
    elif options.command == "commit":
        commands.commit()
    elif options.command == "rollback":
        commands.rollback(options.deadline)
    else:
        commands.revert(options.reason)


def _preflight(commands: Commands, options: argparse.Namespace) -> int:
    found = commands.preflight(Offer(options.version, options.bytes, options.allow_downgrade))
    if options.json:
        print(json.dumps({"refusals": found}))
        return 0
    print("\n".join(found) or "ready")
    return 1 if found else 0


def _boot(commands: Commands) -> None:
    with _lock():
        trial = commands.boot()
    if trial:
        commands.expire(trial)
        with _lock():
            _revert_if_undecided(commands, trial)


def _revert_if_undecided(commands: Commands, trial: Trial) -> None:
    if commands.still(trial):
        commands.revert(f"not committed within {trial.deadline_seconds} s")


def _print_status(commands: Commands, options: argparse.Namespace) -> None:
    status = commands.status(options.wait)
    if options.json:
        print(json.dumps(status))
        return
    for name, value in status.items():
        print(f"{name:22} {value}")


def _data() -> Data:
    return Data(DATA.parent, _say)


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """One command at a time changes anything. Raises Failure when another one is at it."""
    RUN.mkdir(mode=0o755, exist_ok=True)
    # 0600: who may open it, if only to read, may lock it
    with os.fdopen(os.open(RUN / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure("another field-update is at work (valid: wait until it has ended)") from error
        yield


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the link to who is listening may go; what was begun is ended
        print(text, flush=True)


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} (valid: a number of seconds above 0)")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="field-update", description="Upgrade this board's other slot.")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status")
    status.add_argument("--json", action="store_true")
    status.add_argument("--wait", type=float, default=0, metavar="SECONDS")
    install = commands.add_parser("install")
    install.add_argument("url")
    install.add_argument("--version", default="")
    install.add_argument("--deadline", type=_positive, default=DEADLINE_SECONDS, metavar="SECONDS")
    install.add_argument("--ready", action="store_true")
    install.add_argument("--bytes", type=int, default=0)
    install.add_argument("--allow-downgrade", action="store_true")
    install.add_argument("--unless-pending", action="store_true")
    preflight = commands.add_parser("preflight")
    preflight.add_argument("--json", action="store_true")
    preflight.add_argument("--version", default="")
    preflight.add_argument("--bytes", type=int, default=0)
    preflight.add_argument("--allow-downgrade", action="store_true")
    rollback = commands.add_parser("rollback")
    rollback.add_argument("--deadline", type=_positive, default=DEADLINE_SECONDS, metavar="SECONDS")
    commands.add_parser("boot-loader")
    commands.add_parser("commit")
    revert = commands.add_parser("revert")
    revert.add_argument("--reason", default="asked for")
    commands.add_parser("verify").add_argument("--gently", action="store_true")
    commands.add_parser("health")
    commands.add_parser("factory-reset")
    commands.add_parser("boot")
    commands.add_parser("data")
    return parser
