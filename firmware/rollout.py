# SPDX-License-Identifier: MIT
"""Rollout: what `./inv deploy` does, for a real board and for the emulated one.

An emulated board that is off is started first; without a card it boots one made from the image, as if just flashed,
and then runs that version already. Any other board gets the bundle as an upgrade of its other slot, and the verdict of
a short acceptance (a capture, received and checked here) commits it; else it goes back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from firmware import admission, bundle, engine, fleet, fleet_rollout, hot, manifest, receiver, recipe, slots
from firmware import deploy as upgrade
from firmware.choice import Choice
from firmware.deploy import Offer, Outcome, Plan
from firmware.errors import TargetError, UserError
from firmware.reach import Reach, reach

QUICK_BYTES = 16 << 20


@dataclass(frozen=True)
class Wish:
    """Options of `./inv deploy`; `accept=False` commits as soon as the board's own health checks have passed.

    `downgrade` offers a bundle whose signed content lets a board take a version below the one that it runs;
    `boot_loader`: once it is kept, SPL and U-Boot become those of the new version, too.
    """

    force: bool = False
    dry_run: bool = False
    accept: bool = True
    downgrade: bool = False
    boot_loader: bool = False

    @property
    def plan(self) -> Plan:
        """The same for `firmware/deploy.py`."""
        return Plan(force=self.force, dry_run=self.dry_run, boot_loader=self.boot_loader)


WISH = Wish()


@dataclass(frozen=True)
class Scope:
    """What of `./inv deploy`: one recipe `only`; or the boards of `fleet`, of one `group` or with one `tag`."""

    only: str | None = None
    fleet: str | None = None
    group: str = ""
    tag: str = ""

    def check(self, wish: Wish, host: str | None) -> None:
        """Raise UserError for options that would be without effect: who gives one relies on it."""
        if self.only and (wish != WISH or self.fleet):
            raise UserError("--only pushes a part at once, without an upgrade (valid: with --host alone)")
        if self.fleet and host:
            raise UserError("--fleet: its own boards (valid: without --host)")
        if (self.group or self.tag) and not self.fleet:
            raise UserError("--group, --tag: of which boards? (valid: with --fleet=FILE)")


def deploy(
    choice: Choice, wish: Wish = WISH, only: str | None = None, accept_host_key: str | None = None
) -> Outcome | None:
    """Bring the built version, or just recipe `only`, onto the board. Raises FirmwareError, also when it went back."""
    if only:
        wanted = hot.find(only, recipe.load_all())
        hot.push(choice.board, reach(choice, accept_host_key).target, wanted)
        print(f"{only} is in effect until the next boot")
        return None
    offer = offered(choice, wish.downgrade)
    found = reach(choice, accept_host_key)
    with found.target:
        outcome = upgrade.deploy(found.target, offer, (lambda: accept(found)) if wish.accept else None, wish.plan)
    return _kept(found.target.name, outcome)


def offered(choice: Choice, downgrade: bool = False) -> Offer:
    """The built bundle, or one of the same content that lets boards go back to it. Raises UserError: not built."""
    built = manifest.load_built(choice.board.name, choice.engine)
    if not downgrade:
        return Offer.of(built)
    if choice.engine != "debian":
        raise UserError(
            "--allow-downgrade makes another bundle (valid: --engine=debian; or sign one with the permission)"
        )
    folder = bundle.build(engine.bundle_inputs(choice.board), built.inputs["rootfs"], downgrade=True)
    sha256 = (folder / "sha256").read_text(encoding="ascii").strip()
    return Offer(built.board, built.version, folder / f"{built.board}.raucb", sha256)


def to_fleet(
    choice: Choice, file: Path, wish: Wish = WISH, group: str = "", tag: str = "", key: str | None = None
) -> None:
    """Bring the built version to the boards of the fleet in `file`. Raises FirmwareError, also when one has it not."""
    found = fleet.load(file)
    chosen = fleet.members(found, group, tag)
    if found.board != choice.board.name:
        raise UserError(f"{file}: board: {found.board!r} (valid: the one that is deployed, {choice.board.name!r})")
    offer = offered(choice, wish.downgrade)
    check = accept if wish.accept and found.acceptance == "capture" else None
    fleet_rollout.Rollout(found, offer, fleet_rollout.reacher(key)).run(chosen, check, wish.plan)


def rollback(choice: Choice, wish: Wish = WISH, accept_host_key: str | None = None) -> Outcome:
    """Bring the board back to its other slot. Raises FirmwareError, also when that slot was not accepted."""
    found = reach(choice, accept_host_key)
    with found.target:
        gave_up = upgrade.on_trial(upgrade.verdict(found.target))
        outcome = slots.rollback(found.target, (lambda: accept(found)) if wish.accept else None)
    return outcome if gave_up else _kept(found.target.name, outcome)


def _kept(name: str, outcome: Outcome) -> Outcome:
    if outcome.action == "reverted":
        raise TargetError(name, f"it went back to {outcome.version}: {outcome.reason}")
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
