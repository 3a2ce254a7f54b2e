# SPDX-License-Identifier: MIT
"""`./inv status` and `./inv rollback`: which version is in which slot of a board, and back to the other one.

A rollback is a trial like an upgrade's: the other slot is booted, examined, accepted and committed, or the board goes
back by itself. While a slot is on trial, it means to give that trial up. Raises TargetError.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from firmware import deploy, transfer
from firmware.deploy import Outcome, Status
from firmware.fit import RELEASE
from firmware.ssh import Late, Target, Unreachable
from firmware.transfer import DEADLINE_SECONDS, Say


def describe(release: dict[str, str], now: Status) -> str:
    """The board's state, for a person."""
    lines = [f"runs {release['version']}, kernel {release['kernel']}, in slot {now['booted']} ({release['board']})"]
    trial, last = now["trial"], now["last"]
    if trial and trial["slot"] == now["booted"]:
        left = now["deadline_left_seconds"]
        lines.append(f"on trial: to be committed within {left} s, or it goes back; health: {now['health']}")
    elif trial and trial.get("phase") == "installing":
        what = f"{trial['version'] or 'a new version'} is being installed into slot {trial['slot']}"
        lines.append(f"{what}, or that was broken off; nothing is on trial")
    elif trial:
        lines.append(f"slot {trial['slot']} with {trial['version'] or 'a new version'} is tried at the next boot")
    else:
        lines.append("committed; nothing is on trial")
    if last:
        what = f"{last['event']}: slot {last['slot']}, version {last['version'] or '(unknown)'}"
        lines.append("last: " + (f"{what}: {last['reason']}" if last["reason"] else what))
    environment = now.get("environment", {})
    lines += [f"environment: {text}" for text in (*environment.get("wrong", ()), *environment.get("noted", ()))]
    if now.get("damage"):
        lines.append(f"{now['damage']} (valid: install a version again, ./inv deploy --force)")
    if now.get("problem"):
        lines.append(f"problem: {now['problem']}")
    return "\n".join(lines)


def show(target: Target, as_json: bool = False) -> None:
    """Print what the board runs and tries."""
    target.connect()
    release, now = json.loads(target.get(RELEASE)), deploy.status(target)
    print(
        json.dumps({"release": release, **now})
        if as_json
        else f"{target.name}\n  " + describe(release, now).replace("\n", "\n  ")
    )


def rollback(target: Target, accept: Callable[[], None] | None = None, say: Say = transfer.show) -> Outcome:
    """Bring the board to its other slot."""
    target.connect()
    now = deploy.verdict(target)
    if deploy.on_trial(now):
        return deploy.undone(target, deploy.revert(target, "rollback was asked for", say), say)
    old, started = target.boot_id(), time.monotonic()
    say(f"{target.name} runs slot {now['booted']}; the other one is to be tried, for at most {DEADLINE_SECONDS} s")
    try:
        command = ["field-update", "rollback", "--deadline", str(DEADLINE_SECONDS)]
        say(f"{target.name}: {target.output(command, sudo=True).strip()}")
    except (Unreachable, Late):
        say("the connection went while it was rebooting")
    say("rebooting")
    target.wait_for_reboot(old)
    say(f"answers again after {time.monotonic() - started:.0f} s")
    now = deploy.verdict(target)
    if not deploy.on_trial(now):
        return deploy.undone(target, now, say)
    return deploy.examine(target, now["trial"]["version"], accept, say)
