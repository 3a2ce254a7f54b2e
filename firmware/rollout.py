# SPDX-License-Identifier: MIT
"""Rollout: what `./inv deploy` does, for a real board and for the emulated one.

An emulated board that is off is started first; without a card it boots one made from the image, as if just flashed,
and then runs that version already. Any other board gets the bundle as an upgrade of its other slot, and the verdict of
a short acceptance (a capture, received and checked here) commits it; else it goes back.
"""

from __future__ import annotations

import json

from firmware import admission, hot, manifest, receiver, recipe
from firmware import deploy as upgrade
from firmware.choice import Choice
from firmware.deploy import Offer, Outcome
from firmware.errors import TargetError
from firmware.reach import Reach, reach

QUICK_BYTES = 16 << 20


def deploy(
    choice: Choice, force: bool = False, only: str | None = None, accept_host_key: str | None = None
) -> Outcome | None:
    """Bring the built version, or just recipe `only`, onto the board. Raises FirmwareError, also when it went back."""
    if only:
        wanted = hot.find(only, recipe.load_all())
        hot.push(choice.board, reach(choice, accept_host_key).target, wanted)
        print(f"{only} is in effect until the next boot")
        return None
    built = manifest.load_built(choice.board.name, choice.engine)
    found = reach(choice, accept_host_key)
    bundle = built.files["bundle"]
    offer = Offer(built.board, built.version, built.path("bundle"), bundle.sha256)
    with found.target:
        outcome = upgrade.deploy(found.target, offer, lambda: accept(found), force)
    if outcome.action == "reverted":
        raise TargetError(found.target.name, f"the upgrade went back: {outcome.reason}")
    return outcome


def accept(found: Reach) -> None:
    """The short acceptance: a capture must arrive whole. Raises TargetError."""

    def start() -> None:
        command = ["capturectl", "start", "--pattern", "counter", "--rate", "0", "--bytes", str(QUICK_BYTES)]
        found.target.output(command, sudo=True)

    admission.admit(found.target)
    seen = receiver.receive(*found.stream, pattern="counter", connected=start)
    status = json.loads(found.target.output(["capturectl", "status", "--json"], sudo=True))
    print(f"  {seen}; copied: {status['copied']}")
    if not seen.whole:
        raise TargetError(found.target.name, f"the capture is not whole: {seen}")
