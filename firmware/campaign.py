# SPDX-License-Identifier: MIT
"""The power-cut campaign, as values: where each cut falls, what must hold afterwards, and how it is told.

Most cuts are recorded: one upgrade is recorded, sector by sector, and each cut is a card as it was behind one of the
sectors (`firmware/card_journal.py`), which a board is then switched on with. One in ten is an `instant`: the power of a
board in the middle of an upgrade of its own is cut at a random moment. Almost all that is written is the slot's
content, so a recorded cut falls, in equal parts, among all sectors; among those `elsewhere`, outside of the slot that
is written; of one `step`, activation, first boot or commit; of a new boot `loader`. Half of the time the last sector is
torn, and of a third the sectors of the last command have arrived in any order. The same seed gives the same cuts.

After each one the board must come back by itself, on the old or on the new version and whole, with the data partition's
content and a capture that runs; and the same upgrade, begun again, must succeed. That is done wherever the new version
runs, after every instant, and with one in eight of the recorded cuts that end with the old version; the others are only
asked whether the board would take it, by all the checks that come before the first write.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from firmware.errors import UserError

INSTALL, ACTIVATION, FIRST_BOOT, COMMIT = "download and install", "activation", "first boot", "commit"
LOADER = "boot loader"
PHASES = (INSTALL, ACTIVATION, FIRST_BOOT, COMMIT, LOADER)
STEPS = (ACTIVATION, FIRST_BOOT, COMMIT)  # those of an upgrade that write little
CUTS_MAX = 10_000
INSTANTS, WHOLE, SCATTERED = 1 / 10, 1 / 8, 1 / 3  # shares: of all cuts; of recorded ones
# the slot's content is; RAUC makes it the first then
_WRITTEN = re.compile(r"Copying image to .* done\.|Installing done|installed:")

Kind = Literal["write", "elsewhere", "step", "loader", "instant"]
RECORDED: tuple[Kind, ...] = ("write", "elsewhere", "step", "loader")


@dataclass(frozen=True)
class Cut:
    """One power cut: at `share` of the sectors written, or of the seconds; `torn`: in the middle of a sector.

    Of the kind `step`, of the sectors written in `step`, one of STEPS. `scattered`: the sectors of the command under
    way have come in any order. `whole`: also a board that came back with the old version is upgraded again.
    """

    number: int
    kind: Kind
    share: float
    torn: bool
    step: str = ""
    scattered: bool = False
    whole: bool = True

    def __str__(self) -> str:
        """For a person."""
        names = {
            "write": "sectors",
            "elsewhere": "sectors outside of the slot",
            "instant": "time",
            "step": f"sectors of {self.step}",
            "loader": "boot loader",
        }
        where = f"of the {names[self.kind]}"
        return f"cut {self.number} at {self.share:.1%} {where}{', torn' * self.torn}{', scattered' * self.scattered}"


@dataclass(frozen=True)
class Seen:
    """What was found after a cut; `trouble` is what kept somebody from looking, or an empty text.

    `upgraded`: the same upgrade, begun again, has succeeded; unless `whole`, it would have begun.
    """

    cut: Cut
    phase: str
    version: str = ""
    allowed: tuple[str, str] = ("", "")
    slot_whole: bool = False
    data_whole: bool = False
    captured: bool = False
    upgraded: bool = False
    whole: bool = True
    trouble: str = ""


def plan(count: int, seed: int) -> list[Cut]:
    """The cuts. Raises UserError: a number that makes no sense."""
    if not 0 < count <= CUTS_MAX:
        raise UserError(f"--power-cuts: {count} (valid: 1 to {CUTS_MAX})")
    chance = random.Random(seed)  # noqa: S311  # repeatable on purpose
    return [_cut(number, chance) for number in range(1, count + 1)]


def refuse(**options: bool) -> None:
    """Raise UserError for options of the suite that are given: a campaign runs none, and who gives one relies on it."""
    if given := [f"--{name.replace('_', '-')}" for name, is_given in options.items() if is_given]:
        raise UserError(f"--power-cuts runs no suite (valid: without {', '.join(given)})")


def _cut(number: int, chance: random.Random) -> Cut:
    instant, share, torn, step = chance.random(), chance.random(), chance.random() < 0.5, chance.choice(STEPS)
    kind, scattered, whole = chance.choice(RECORDED), chance.random() < SCATTERED, chance.random() < WHOLE
    if instant < INSTANTS:
        return Cut(number, "instant", share, torn=False)
    return Cut(number, kind, share, torn, step if kind == "step" else "", scattered, whole)


def phase(said: Sequence[str]) -> str:
    """Where an upgrade is, from what `deploy` has said so far."""
    text = "\n".join(said)
    if "boot loader" in text:
        return LOADER
    if "is healthy" in text or "is committed" in text:
        return COMMIT
    if "rebooting" in text:
        return FIRST_BOOT
    return ACTIVATION if _WRITTEN.search(text) else INSTALL


def violations(seen: Seen) -> list[str]:
    """What does not hold after a cut."""
    if seen.trouble:
        return [f"{seen.cut} ({seen.phase}): {seen.trouble}"]
    again = "the upgrade, begun again, does not succeed" if seen.whole else "the upgrade cannot be begun again"
    facts = {
        f"it runs {seen.version} (valid: {' or '.join(seen.allowed)})": seen.version in seen.allowed,
        "the slot that runs differs from what was installed": seen.slot_whole,
        "the data partition has lost what was in it": seen.data_whole,
        "a capture does not arrive whole": seen.captured,
        again: seen.upgraded,
    }
    return [f"{seen.cut} ({seen.phase}): {text}" for text, holds in facts.items() if not holds]


def report(found: Sequence[Seen]) -> str:
    """Where the cuts fell, on which version the board came back, and what was violated."""
    lines = []
    for name in PHASES:
        here = [seen for seen in found if seen.phase == name]
        kept = Counter("old" if seen.version == seen.allowed[0] else "new" for seen in here if not seen.trouble)
        lines.append(f"{name:22} {len(here):4} cuts: {kept['old']:4} old version, {kept['new']:4} new version")
    instants, torn = sum(seen.cut.kind == "instant" for seen in found), sum(seen.cut.torn for seen in found)
    scattered, whole = sum(seen.cut.scattered for seen in found), sum(seen.whole for seen in found)
    lines.append(f"{instants} at an instant, {torn} torn, {scattered} scattered, {whole} upgraded again as a whole")
    wrong = [line for seen in found for line in violations(seen)]
    return "\n".join([*lines, f"{len(found)} cuts, {len(wrong)} violations", *wrong])
