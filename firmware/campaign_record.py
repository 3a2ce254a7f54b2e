# SPDX-License-Identifier: MIT
"""One upgrade of the power-cut campaign, recorded: all that it writes, and the card as any cut would have left it.

The board's first boot is over before it: `base.img` is its card then. It is switched on again with a journal, and
upgraded from what was built to the stand's first version, with acceptance, commit and boot loader. `Record.restore`
makes the card of a cut, which costs seconds; the upgrade itself is not made again. A campaign that goes on does so with
the record that it has, in `record/` of its folder, and the card as it was at the end of that.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from firmware import campaign, campaign_stand, card_journal, deploy, layout, reach, rollout
from firmware.campaign import Cut
from firmware.campaign_stand import SENTINEL, Stand, Version
from firmware.card_journal import Journal, Piece, PowerCut
from firmware.deploy import Offer
from firmware.errors import TargetError, UserError
from firmware.reach import Reach
from firmware.transfer import Say

SLOT = layout.SLOT_B  # that a new card's first upgrade writes
FACTS, BASE, JOURNAL = "record.json", "base.img", "journal"


@dataclass(frozen=True)
class Record:
    """What was recorded: `base` is the card before it, `begun` the sectors written before each phase, `end` at the end.

    `seconds`: what the upgrade has taken, with its boot loader; `kept`: what `campaign_stand.look` must give.
    """

    base: Path
    journal: Journal
    begun: dict[str, int]
    end: int
    seconds: float
    kept: str
    versions: tuple[Version, Version]

    def sectors(self) -> dict[str, int]:
        """How many each phase has written."""
        ends = [*self.begun.values(), self.end]
        return {name: end - begin for name, (begin, end) in zip(self.begun, pairwise(ends), strict=True)}

    def pieces(self, one: Cut) -> list[Piece]:
        """What the cut may fall into."""
        last = self.begun[campaign.LOADER]
        upgrade = self.journal.between(self.begun[campaign.INSTALL], last)
        elsewhere = [piece for piece in upgrade if not piece.touches(SLOT)]
        if one.kind == "elsewhere":
            return elsewhere
        if one.kind == "loader":
            return self.journal.between(last, self.end)
        if one.kind == "step":
            begin = self.begun[one.step]
            # a step is what `deploy` tells, a moment later than it is: one may seem to write nothing
            return self.journal.between(begin, begin + self.sectors()[one.step]) or elsewhere
        return upgrade

    def position(self, one: Cut) -> int:
        """The number of the last sector that the cut lets arrive, in the journal."""
        return card_journal.at_share(self.pieces(one), one.share)

    def phase(self, one: Cut) -> str:
        """The phase that it falls into."""
        position = self.position(one)
        return [name for name, begin in self.begun.items() if begin < position][-1]

    def restore(self, one: Cut, card: Path) -> None:
        """Make the card that the cut leaves."""
        campaign_stand.copy(self.base, card)
        self.journal.restore(card, PowerCut(self.position(one), one.torn, one.scattered, one.number))


def of(stand: Stand) -> Record:
    """The record that there is of this image, or a new one; the live board has the card of its end, and is off.

    Raises TargetError: an upgrade that nobody cuts goes wrong.
    """
    try:
        return _load(stand)
    except (OSError, ValueError, KeyError, TypeError, UserError):
        shutil.rmtree(stand.record)
        stand.record.mkdir()
        return _make(stand)


def _load(stand: Stand) -> Record:
    facts = json.loads((stand.record / FACTS).read_text(encoding="utf-8"))
    if facts["image"] != stand.built.files["image"].sha256:
        raise ValueError("it is of another image")
    base, journal = stand.record / BASE, Journal(stand.record / JOURNAL)
    if not base.is_file():
        raise ValueError("it has lost its card")
    offers = (Offer.of(stand.built), stand.versions[0].offer)
    old, new = (Version(offer, *each) for offer, each in zip(offers, facts["versions"], strict=True))
    campaign_stand.copy(base, stand.live.card)
    journal.restore(stand.live.card, PowerCut(facts["end"]))
    return Record(base, journal, facts["begun"], facts["end"], facts["seconds"], facts["kept"], (old, new))


def _make(stand: Stand) -> Record:
    live, new, said = stand.live, stand.versions[0], list[str]()
    base, log = stand.record / BASE, stand.record / JOURNAL
    reach.make_card(stand.built, live.card, stand.known)
    found = live.on()
    found.target.put(stand.sentinel, SENTINEL, sudo=True)
    campaign_stand.keep(found, 0)
    live.off()
    campaign_stand.copy(live.card, base)
    found = live.on(card_journal.recorded(log))
    kept, started = campaign_stand.keep(found, 1), time.monotonic()
    begun = {campaign.INSTALL: live.faults.writes}
    say = watched(said, lambda phase: begun.update({phase: live.faults.writes}))
    if not upgrade(found, new.offer, say):
        raise TargetError(found.target.name, "an upgrade that nobody cuts does not succeed:\n" + "\n".join(said))
    deploy.replace_boot_loader(found.target, say)
    seconds = time.monotonic() - started
    end = live.faults.writes
    live.off()
    made = Record(base, Journal(log), begun, end, seconds, kept, (stand.version_built(base), new))
    facts = {"image": stand.built.files["image"].sha256, "begun": begun, "end": end, "seconds": seconds, "kept": kept}
    facts["versions"] = [(each.size, each.sha256) for each in made.versions]
    (stand.record / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")  # the last: it is whole
    return made


def upgrade(found: Reach, offer: Offer, say: Say) -> bool:
    """One whole upgrade with acceptance; whether the board runs it, committed."""
    outcome = deploy.deploy(found.target, offer, lambda: rollout.accept(found), say=say)
    return outcome.action in ("committed", "unchanged") and outcome.version == offer.version


def watched(said: list[str], begins: Callable[[str], None]) -> Say:
    """What keeps all that `deploy` says, and tells which phase begins."""
    lock = threading.Lock()  # lines may come from two threads

    def say(text: str) -> None:
        with lock:
            before = campaign.phase(said)
            said.append(text)
            now = campaign.phase(said)
        if now != before:
            begins(now)

    return say
