# SPDX-License-Identifier: MIT
"""A roll-out on a hawkBit server: a distribution set for the boards that a query finds, group by group.

It is what waves and `stop_share` are to a `fleet.yaml`: when so many boards of a group have failed it pauses; when the
others of the group have succeeded the next group begins. hawkBit counts a board as a success when it has installed the
bundle, before it has tried it: what a board runs afterwards it tells by its attributes (docs/upgrade.md).
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from firmware.errors import TargetError, UserError
from firmware.hawkbit_catalogue import ROLLOUTS, Catalogue, Thing

READY_SECONDS, LOOK_SECONDS = 300.0, 1.0
GROUPS = range(1, 501)
AT_WORK = ("creating", "starting")
STARTED = ("starting", "running", "finished")


@dataclass(frozen=True)
class Waves:
    """To whom: hawkBit's query; the number of groups; a larger share of failed boards of a group pauses it."""

    query: str
    groups: int = 10
    stop_share: float = 0.1

    def check(self) -> None:
        """Raise UserError for values that are not valid."""
        if self.groups not in GROUPS:
            raise UserError(f"--groups: {self.groups} (valid: {GROUPS.start} to {GROUPS.stop - 1})")
        if not 0 <= self.stop_share <= 1:
            raise UserError(f"--stop-share: {self.stop_share:g} (valid: 0 to 1)")


def prepare(catalogue: Catalogue, assigned: Thing, waves: Waves) -> Thing:
    """The roll-out of a set, made when there is none, and settled. Raises TargetError."""
    body = request(assigned, waves)
    found = catalogue.find(ROLLOUTS, body["name"]) or catalogue.make(ROLLOUTS, body)
    if (found.get("distributionSetId"), found.get("targetFilterQuery")) != (assigned["id"], waves.query):
        raise TargetError(catalogue.host, f"its roll-out {body['name']!r} is of another set or filter")
    return settled(catalogue, found)


def start(catalogue: Catalogue, rollout: Thing) -> Thing:
    """Start it, if it was not. Raises TargetError: it cannot be started as it is."""
    if rollout["status"] == "ready":
        catalogue.session.post(f"{ROLLOUTS}/{rollout['id']}/start")
        rollout = settled(catalogue, _look(catalogue, rollout))
    if rollout["status"] not in STARTED:
        raise TargetError(catalogue.host, f"{told(rollout)}, not started (valid: approved or resumed on the server)")
    return rollout


def told(rollout: Thing) -> str:
    """How it stands, in words."""
    return f"roll-out {rollout['id']} to {rollout.get('totalTargets')} boards is {rollout['status'].replace('_', ' ')}"


def request(assigned: Thing, waves: Waves) -> Thing:
    """What hawkBit is asked to make; its name is the same for the same set and query, so that it is made once."""
    stop = round(waves.stop_share * 100)  # percent; a larger share pauses it
    query = hashlib.sha256(waves.query.encode()).hexdigest()[:12]
    return {
        "name": f"{assigned['name']} {assigned['version']} {query}",
        "description": f"Boards: {waves.query}"[:512],
        "distributionSetId": assigned["id"],
        "targetFilterQuery": waves.query,
        "type": "forced",
        "amountGroups": waves.groups,
        "successCondition": {"condition": "THRESHOLD", "expression": str(max(1, 100 - stop))},
        "successAction": {"action": "NEXTGROUP", "expression": ""},
        "errorCondition": {"condition": "THRESHOLD", "expression": str(stop)},
        "errorAction": {"action": "PAUSE", "expression": ""},
    }


def settled(catalogue: Catalogue, rollout: Thing) -> Thing:
    """The roll-out when its groups have been made, or its start has been. Raises TargetError: never."""
    until = time.monotonic() + READY_SECONDS
    while rollout["status"] in AT_WORK:
        if time.monotonic() > until:
            raise TargetError(catalogue.host, f"{told(rollout)}, since {READY_SECONDS:.0f} s (valid: try again later)")
        time.sleep(LOOK_SECONDS)  # paces the looks; the evidence is the roll-out's status
        rollout = _look(catalogue, rollout)
    return rollout


def _look(catalogue: Catalogue, rollout: Thing) -> Thing:
    return catalogue.things([catalogue.session.get(f"{ROLLOUTS}/{rollout['id']}")])[0]
