# SPDX-License-Identifier: MIT
"""What a boot means for a trial: pure decisions, no side effect.

booted slot | recorded                     | decision
unknown     | anything                     | LEAVE      not booted by our boot script: touch nothing
any         | broken file                  | KEEP       report; marking bad would only swap slots at random
any         | no trial                     | KEEP       committed: give the attempt counter back
= trial     | may pass                     | TRY        health, then wait for the commit until the deadline
= trial     | failed, for a reason         | REVERT     the power went between recording and reverting: go on
!= trial    | installed, or failed         | FELL_BACK  record why; make this slot the first again
!= trial    | installing                   | FELL_BACK  the power went during the installation
"""

from __future__ import annotations

from typing import NamedTuple

from field_update.state import DAMAGED, INSTALLED, INSTALLING, Event, State

LEAVE = "leave"
KEEP = "keep"
TRY = "try"
REVERT = "revert"
FELL_BACK = "fell-back"
NOT_TO_BE_TRIED = ("reverted", "interrupted", "install-failed")  # what an upgrade has left there


class Decision(NamedTuple):
    """What to do, and the state to record before doing it."""

    action: str
    state: State


def at_boot(state: State, problem: str, booted: str) -> Decision:
    """Decision for a boot from slot `booted` (empty: unknown) with this state; `problem` says why it was unreadable."""
    if not booted:
        return Decision(LEAVE, state)
    if problem:
        return Decision(KEEP, State(None, Event("state-unreadable", booted, "", problem)))
    trial = state.trial
    if trial is None:
        return Decision(KEEP, state)
    if trial.slot == booted:
        return Decision(REVERT if trial.failed else TRY, state)
    if trial.failed:
        event = Event("reverted", trial.slot, trial.version, trial.failed)
    elif trial.phase == INSTALLING:
        event = Event("interrupted", trial.slot, trial.version, f"the installation into slot {trial.slot} did not end")
    else:
        event = Event("reverted", trial.slot, trial.version, f"slot {trial.slot} did not come up")
    return Decision(FELL_BACK, State(None, event))


def may_leave(state: State, other: str) -> str:
    """Why a committed slot that is damaged is kept all the same; empty when slot `other` may be tried."""
    last = state.last
    if last and last.event == DAMAGED:
        return f"slot {last.slot} has been left for the same reason (valid: install an upgrade)"
    if last and last.slot == other and last.event in NOT_TO_BE_TRIED:
        return f"slot {other} is no way out, {last.event}: {last.reason}"
    return ""


def commits_itself(state: State) -> bool:
    """Whether the slot on trial is there because the other one is damaged: nobody has asked for it."""
    return bool(state.trial and state.last and state.last.event == DAMAGED and state.last.slot != state.trial.slot)


def may_install(state: State, booted: str) -> str:
    """Why nothing may be installed now; empty when it may."""
    if not booted:
        return "the kernel command line names no slot (rauc.slot=): this board was not booted by its boot script"
    if state.trial and state.trial.slot == booted:
        return f"slot {booted} is on trial (valid: field-update commit, or field-update revert, first)"
    return ""


def pending(state: State, booted: str) -> str:
    """What has been installed and waits for the next boot; empty when nothing does."""
    if state.trial and state.trial.slot != booted and state.trial.phase == INSTALLED:
        return (
            f"version {state.trial.version or '(unknown)'} waits in slot {state.trial.slot} to be tried: somebody else "
            "deploys to this board (valid: when that has ended, see field-update status)"
        )
    return ""


def under_way(state: State) -> str:
    """Why the boot loader is to be left alone; empty when no slot is to be tried."""
    if state.trial:
        return f"slot {state.trial.slot} is to be tried (valid: when it is committed, or has been reverted)"
    return ""


def not_on_trial(state: State, booted: str) -> str:
    """Why there is nothing to commit or revert; empty when the booted slot is on trial."""
    if state.trial is None:
        return f"slot {booted or '(unknown)'} is committed already, nothing is on trial"
    if state.trial.slot != booted:
        return f"slot {state.trial.slot} is to be tried, but the booted slot is {booted or 'unknown'} (valid: reboot)"
    return ""
