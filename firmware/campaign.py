# SPDX-License-Identifier: MIT
"""The power-cut campaign, as values: where each cut falls, what must hold afterwards, and how it is told.

A cut falls behind a sector that is written, at a random share of all that an upgrade writes (half of the time in the
middle of the last sector), or at a random share of the time that it takes; or, a fifth of them, among the sectors of a
new boot loader, which are few. The same seed gives the same cuts. After
each one the board must come back by itself, on the old or on the new version and whole, with the data partition's
content and a capture that runs; and the same upgrade, begun again, must succeed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from firmware.errors import UserError

INSTALL, ACTIVATION, FIRST_BOOT, COMMIT = "download and install", "activation", "first boot", "commit"
LOADER = "boot loader"
PHASES = (INSTALL, ACTIVATION, FIRST_BOOT, COMMIT, LOADER)
CUTS_MAX = 10_000


@dataclass(frozen=True)
class Cut:
    """One power cut: at `share` of the sectors written, or of the seconds; `torn`: in the middle of a sector."""

    number: int
    kind: Literal["write", "instant", "loader"]
    share: float
    torn: bool

    def __str__(self) -> str:
        """For a person."""
        where = {"write": "of the sectors", "instant": "of the time", "loader": "of the boot loader"}[self.kind]
        return f"cut {self.number} at {self.share:.1%} {where}{', torn' if self.torn else ''}"


@dataclass(frozen=True)
class Seen:
    """What was found after a cut; `trouble` is what kept somebody from looking, or an empty text."""

    cut: Cut
    phase: str
    version: str = ""
    allowed: tuple[str, str] = ("", "")
    slot_whole: bool = False
    data_whole: bool = False
    captured: bool = False
    upgraded: bool = False
    trouble: str = ""


def plan(count: int, seed: int) -> list[Cut]:
    """The cuts. Raises UserError: a number that makes no sense."""
    if not 0 < count <= CUTS_MAX:
        raise UserError(f"--power-cuts: {count} (valid: 1 to {CUTS_MAX})")
    chance = random.Random(seed)  # noqa: S311  # repeatable on purpose
    return [
        Cut(
            number,
            _kind(chance.random()),
            chance.random(),
            chance.random() < 0.5,
        )
        for number in range(1, count + 1)
    ]


def refuse(**options: bool) -> None:
    """Raise UserError for options of the suite that are given: a campaign runs none, and who gives one relies on it."""
    if given := [f"--{name.replace('_', '-')}" for name, is_given in options.items() if is_given]:
        raise UserError(f"--power-cuts runs no suite (valid: without {', '.join(given)})")


def _kind(chance: float) -> Literal["write", "instant", "loader"]:
    return "write" if chance < 0.6 else "instant" if chance < 0.8 else "loader"


def phase(said: Sequence[str]) -> str:
    """Where an upgrade is, from what `deploy` has said so far."""
    text = "\n".join(said)
    if "boot loader" in text:
        return LOADER
    if "is healthy" in text or "is committed" in text:
        return COMMIT
    if "rebooting" in text:
        return FIRST_BOOT
    return ACTIVATION if "100% Installing done" in text or "installed:" in text else INSTALL


def violations(seen: Seen) -> list[str]:
    """What does not hold after a cut."""
    if seen.trouble:
        return [f"{seen.cut} ({seen.phase}): {seen.trouble}"]
    facts = {
        f"it runs {seen.version} (valid: {' or '.join(seen.allowed)})": seen.version in seen.allowed,
        "the slot that runs differs from what was installed": seen.slot_whole,
        "the data partition has lost what was in it": seen.data_whole,
        "a capture does not arrive whole": seen.captured,
        "the upgrade, begun again, does not succeed": seen.upgraded,
    }
    return [f"{seen.cut} ({seen.phase}): {text}" for text, holds in facts.items() if not holds]


def report(found: Sequence[Seen]) -> str:
    """Where the cuts fell, on which version the board came back, and what was violated."""
    lines = []
    for name in PHASES:
        here = [seen for seen in found if seen.phase == name]
        kept = Counter("old" if seen.version == seen.allowed[0] else "new" for seen in here if not seen.trouble)
        lines.append(f"{name:22} {len(here):4} cuts: {kept['old']:4} old version, {kept['new']:4} new version")
    wrong = [line for seen in found for line in violations(seen)]
    return "\n".join([*lines, f"{len(found)} cuts, {len(wrong)} violations", *wrong])
