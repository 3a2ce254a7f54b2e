# SPDX-License-Identifier: MIT
"""The commands: each records its intention before it acts, so that a power cut at any point ends well.

* `install` records the trial before RAUC makes the new slot bootable: no untried slot can pass for a committed one.
* `revert` records the reason before it reboots, and then this boot's journal, which is in memory only: the host reads
  both afterwards.
* `commit` marks the slot good before it forgets the trial: cut in between, the trial goes on and is committed again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from field_update import boot_loader, damage, decide, preflight
from field_update.state import DAMAGED, INSTALLED, INSTALLING, Event, State, Store, Trial, as_json, write_atomically
from field_update.system import Failure, System

POLL_SECONDS = 0.5
LOG_BYTES = 64 << 10
DAMAGE_DEADLINE_SECONDS = 1800


class NotReady(Failure):
    """What keeps the board from an upgrade now, one line a reason; nothing was changed."""


class Commands:
    """Field update with its state in `data` and what holds for this boot only in `run`."""

    def __init__(self, system: System, data: Path, run: Path, say: Callable[[str], None]) -> None:
        """Messages for a person go to `say`."""
        self._system = system
        self._store = Store(data)
        self._log = data / "reverted.log"
        self._boot_file, self._loader_file = run / "boot.json", run / "boot-loader-new"
        self._say = say

    def install(
        self,
        url: str,
        version: str,
        deadline_seconds: int,
        offer: preflight.Offer | None = None,
        unless_pending: bool = False,
    ) -> None:
        """Install the bundle at `url` into the other slot and put that on trial. Raises Failure.

        With `offer` the board has to be ready first; with `unless_pending` what waits for the next boot to be tried is
        not overwritten: the caller has not seen it, so it is somebody else's. Raises NotReady.
        """
        if offer is not None and (found := self.preflight(offer)):
            raise NotReady("\n".join(found))
        state, booted = self._state(), self._system.booted()
        if unless_pending and (waits := decide.pending(state, booted)):
            raise NotReady(waits)
        if refusal := decide.may_install(state, booted):
            raise Failure(refusal)
        trial = Trial(self._system.other(booted), version, deadline_seconds, INSTALLING)
        self._store.save(state._replace(trial=trial))
        self._forget_log()
        try:
            self._system.install(url, self._say)
        except Failure as failure:
            self._system.mark("active", "booted")  # RAUC may have got as far as making the other slot the first
            self._store.save(State(None, Event("install-failed", trial.slot, version, str(failure))))
            raise
        self._store.save(state._replace(trial=trial._replace(phase=INSTALLED)))
        self._say(f"slot {trial.slot} is to be tried at the next boot, for at most {deadline_seconds} s")

    def rollback(self, deadline_seconds: int) -> None:
        """Try the system in the other slot, as if it had just been installed: record the trial, then reboot.

        The other slot runs from the next boot on, examined and to be committed like an upgrade. Raises Failure.
        """
        state, booted = self._state(), self._system.booted()
        if refusal := decide.may_install(state, booted):
            raise Failure(refusal)
        other = self._system.other(booted)
        trial = Trial(other, self._system.version_of(other), deadline_seconds, INSTALLED)
        self._store.save(state._replace(trial=trial))
        self._forget_log()
        self._say(f"slot {other}, version {trial.version}, is tried for at most {deadline_seconds} s")
        self._system.mark("active", "other")
        self._system.reboot()

    def boot_loader(self) -> None:
        """Make SPL, U-Boot and its scripts those of the running slot; nobody may be on trial. Raises Failure."""
        state, booted = self._state(), self._system.booted()
        if refusal := decide.may_install(state, booted) or decide.under_way(state):
            raise Failure(refusal)
        if boot_loader.upgrade(self._say):
            write_atomically(self._loader_file, "")
        if names := self._system.renew_environment():  # behind it: the old U-Boot may not know what its scripts need
            self._say(f"U-Boot's environment has the new {', '.join(names)}")
            write_atomically(self._loader_file, "")
        new = self._loader_file.exists()  # also when an earlier call has written it, in this boot
        self._say("the boot loader is new from the next boot on" if new else "the boot loader is this one already")

    def preflight(self, offer: preflight.Offer) -> list[str]:
        """Why nothing may be installed now; empty when it may."""
        state, problem = self._store.load()
        found = preflight.refusals(self._system, state, offer, self._system.now())
        return [*found, *filter(None, (problem, self._environment()))]

    def commit(self) -> None:
        """Make the booted slot, which is on trial, the one to stay. Raises Failure."""
        state, booted = self._state(), self._system.booted()
        trial = self._trial(state, booted)
        if trial.failed:
            raise Failure(f"slot {booted} has failed and is being reverted: {trial.failed}")
        self._system.mark("good", "booted")
        self._store.save(State(None, Event("committed", booted, trial.version, "")))
        self._say(f"slot {booted} is committed")

    def revert(self, reason: str) -> None:
        """Go back to the other slot: record `reason`, then reboot. Raises Failure.

        RAUC may be what is broken in this slot. The board reboots without it, too, and comes here again: that costs an
        attempt, and without any left U-Boot takes the other slot.
        """
        state, booted = self._state(), self._system.booted()
        trial = self._trial(state, booted)
        self._store.save(state._replace(trial=trial._replace(failed=trial.failed or reason)))
        self._say(f"slot {booted} is reverted: {trial.failed or reason}")
        self._keep_log()
        for verb, which in (("active", "other"), ("bad", "booted")):
            try:
                self._system.mark(verb, which)
            except Failure as failure:
                self._say(f"not marked, another boot costs an attempt: {failure}")
        self._system.reboot()

    def health(self) -> str:
        """Run the health checks; what failed, or an empty text."""
        failed = []
        for check in self._system.health():
            self._say(f"{'ok    ' if check.passed else 'FAILED'} {check.name}: {check.said}")
            if not check.passed:
                failed.append(f"{check.name}: {check.said}")
        return "; ".join(failed)

    def boot(self) -> Trial | None:
        """Act on what this boot means; the trial whose deadline is to be kept, if there is one."""
        state, problem = self._store.load()
        decision = decide.at_boot(state, problem, self._system.booted())
        self._canary(decision)
        self._say(f"{decision.action}{': ' + problem if problem else ''}")
        if problem:
            self._store.put_aside()
            self._store.save(decision.state)
        if decision.action == decide.TRY:
            return self._examine(state.trial)
        if decision.action == decide.REVERT:
            self.revert("")
            return None
        if decision.action == decide.KEEP and self._gives_way(decision.state):
            return None
        if decision.action == decide.FELL_BACK:
            self._system.mark("bad", "other")
            self._system.mark("active", "booted")
        if decision.action in (decide.KEEP, decide.FELL_BACK):
            self._system.mark("good", "booted")
        if (
            decision.action == decide.FELL_BACK
        ):  # last: a boot that breaks off before this is decided the same way again
            self._store.save(decision.state)
        self._note(decision.action, "none")
        return None

    def _gives_way(self, state: State) -> bool:
        """Whether the committed slot, damaged by what this boot has met, is given up: then the other one is on trial.

        Nobody has asked for that trial: the other slot is committed as soon as it is found to be healthy.
        """
        self._system.read_boot()
        if not (reason := self._system.damage()):
            return False
        booted = self._system.booted()
        if kept := self._kept(state, booted):
            self._say(f"{reason}; kept: {kept}")
            return False
        other = self._system.other(booted)
        trial = Trial(other, self._system.version_of(other), DAMAGE_DEADLINE_SECONDS, INSTALLED)
        self._store.save(State(trial, Event(DAMAGED, booted, self._system.running(), reason)))
        self._say(f"{reason}; slot {other}, version {trial.version}, is tried instead")
        self._keep_log()
        self._system.mark("active", "other")
        self._system.reboot()
        return True

    def _kept(self, state: State, booted: str) -> str:
        """Why the damaged slot is kept, or an empty text."""
        try:
            other = self._system.other(booted)
            self._system.version_of(other)
            if not self._system.is_good(other):
                return f"slot {other} is marked bad"
        except Failure as failure:
            return str(failure)
        if kept := decide.may_leave(state, other):
            return kept
        return "" if self._system.settle() or self.health() else "its health checks pass"

    def verify(self, gently: bool) -> str:
        """Read the running slot whole; what of it is damaged, or an empty text. Raises Failure."""
        return self._read(gently, damage.BLOCKS_MAX)

    def _read(self, gently: bool, limit: int) -> str:
        read, damaged = self._system.read_slot(gently, limit)
        self._say(damaged or read)
        return damaged

    def _whole(self) -> str:
        """Why the slot on trial is not what was installed, or an empty text."""
        try:
            return self._read(gently=False, limit=1)
        except Failure as failure:
            return str(failure)

    def expire(self, trial: Trial) -> None:
        """Wait until `trial` is over its deadline, then revert it unless it was committed meanwhile."""
        self._system.wait(max(0.0, trial.deadline_seconds - self._system.uptime()))

    def still(self, trial: Trial) -> bool:
        """Whether `trial` is still undecided."""
        return self._state().trial == trial

    def status(self, wait_seconds: float = 0) -> dict[str, Any]:
        """All that is known; waits up to `wait_seconds` for this boot's decision and its health verdict."""
        until = self._system.uptime() + wait_seconds
        while (boot := self._boot())["health"] in ("pending", "running") and self._system.uptime() < until:
            self._system.wait(POLL_SECONDS)
        state, problem = self._store.load()
        left = round(state.trial.deadline_seconds - self._system.uptime()) if state.trial else None
        return {
            "booted": self._system.booted(),
            **boot,
            **as_json(state),
            "problem": problem,
            "damage": self._system.damage(),
            "deadline_left_seconds": left,
            "checks_on_install": True,  # `install` knows --ready: nobody need ask `preflight` before
            "knows_pending": True,  # and --unless-pending
        }

    def _examine(self, trial: Trial | None) -> Trial | None:
        self._note(decide.TRY, "running")
        if reason := self._environment() or self._system.settle() or self._whole() or self.health():
            self._note(decide.TRY, "failed")
            self.revert(f"health: {reason}")
            return None
        if not decide.commits_itself(state := self._state()):
            self._note(decide.TRY, "passed")
            return trial
        self._system.mark("good", "booted")
        self._store.save(state._replace(trial=None))
        self._note(decide.TRY, "passed")  # the last: who waits for it sees no trial that is none
        self._say("committed: it is healthy, and the other slot is damaged")
        return None

    def _canary(self, decision: decide.Decision) -> None:
        """See whether Linux sees U-Boot's environment: once a boot, before the attempt counter is given back."""
        if self._boot_file.exists() or decision.action == decide.LEAVE:
            return
        found = self._system.environment()
        for text in (*found.wrong, *found.noted):
            self._say(f"environment: {text}")
        self._note("", "pending", found._asdict())

    def _keep_log(self) -> None:
        """Keep the end of this boot's journal; a board that cannot goes back all the same."""
        try:
            text = self._system.journal()
            if len(text) > LOG_BYTES // 2:  # characters: most of them are one byte
                text = text[-LOG_BYTES // 2 :].partition("\n")[2]
            write_atomically(self._log, text)
        except (Failure, OSError) as error:
            self._say(f"its log is not kept: {error}")

    def _forget_log(self) -> None:
        with contextlib.suppress(OSError):
            self._log.unlink(missing_ok=True)

    def _environment(self) -> str:
        """What is wrong with the environment, as this boot found it, or an empty text."""
        return "; ".join(f"environment: {text}" for text in self._boot()["environment"]["wrong"])

    def _state(self) -> State:
        return self._store.load()[0]

    def _trial(self, state: State, booted: str) -> Trial:
        refusal = decide.not_on_trial(state, booted)
        if refusal or state.trial is None:
            raise Failure(refusal)
        return state.trial

    def _note(self, action: str, health: str, environment: dict[str, list[str]] | None = None) -> None:
        facts = {"action": action, "health": health, "environment": environment or self._boot()["environment"]}
        write_atomically(self._boot_file, json.dumps(facts) + "\n")

    def _boot(self) -> dict[str, Any]:
        try:
            boot: dict[str, Any] = json.loads(self._boot_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            boot = {"action": "", "health": "pending"}
        return {"environment": {"wrong": [], "noted": []}, **boot}
