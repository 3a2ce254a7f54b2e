# SPDX-License-Identifier: MIT
"""The power-cut campaign's own eye: cards that are made bad by hand are violations, and an untouched one is none.

What the campaign does behind a recorded cut is done here with each of these cards.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import campaign, campaign_run, campaign_stand, engine, layout, reach, tool
from firmware.campaign import Cut
from firmware.campaign_stand import SENTINEL, Stand
from firmware.choice import Choice
from firmware.faults import flip_bit

pytestmark = [pytest.mark.emulated, pytest.mark.slow]
CUT = Cut(1, "write", 0.5, False, whole=False)
SECONDS = 300.0  # after which a board that tries for ever is given up here
SPOILT_BYTES = 1 << 16


@dataclass
class Eye:
    """A stand whose live board has the campaign's data; `base` is its card."""

    stand: Stand
    base: Path
    kept: str

    def violations(self, spoil: Callable[[Path], None]) -> list[str]:
        """What the campaign says of the card when `spoil` has been at it."""

        def restore(_one: Cut, card: Path) -> None:
            campaign_stand.copy(self.base, card)
            spoil(card)

        versions = (self.stand.version_built(self.base), self.stand.versions[0])
        phase = lambda _one: campaign.INSTALL  # noqa: E731
        record: Any = SimpleNamespace(versions=versions, kept=self.kept, phase=phase, restore=restore)
        return campaign.violations(campaign_run.cut_recorded(self.stand.rigs[0], CUT, record))


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Eye]:
    choice, folder = Choice(), tmp_path_factory.mktemp("eye")
    engine.build(choice.board, choice.engine)
    stand = Stand(choice, folder / "stand")
    reach.make_card(stand.built, stand.live.card, stand.known)
    try:
        found = stand.live.on()
        found.target.put(stand.sentinel, SENTINEL, sudo=True)
        kept = campaign_stand.keep(found, 1)
        stand.live.off()
        campaign_stand.copy(stand.live.card, folder / "base.img")
        yield Eye(stand, folder / "base.img", kept)
    finally:
        stand.off()


def test_untouched_card_is_no_violation(eye: Eye) -> None:
    assert eye.violations(lambda _card: None) == []


def test_one_bit_of_the_slot_that_runs(eye: Eye) -> None:
    said = eye.violations(lambda card: flip_bit(card, layout.SLOT_A.end - 1))
    assert said == [f"{CUT} ({campaign.INSTALL}): the slot that runs differs from what was installed"]


def test_one_bit_of_what_was_kept(eye: Eye) -> None:
    with eye.base.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(eye.stand.sentinel[: layout.SECTOR_BYTES], layout.DATA.offset)
    assert at > 0
    said = eye.violations(lambda card: flip_bit(card, at))
    assert said == [f"{CUT} ({campaign.INSTALL}): the data partition has lost what was in it"]


def test_data_partition_made_anew(eye: Eye) -> None:
    def spoil(card: Path) -> None:
        blocks = (card.stat().st_size - layout.DATA.offset) // layout.KIB
        make = [tool.need("mke2fs", "e2fsprogs"), "-q", "-F", "-t", "ext4", "-L", layout.DATA.name]
        tool.run([*make, "-E", f"offset={layout.DATA.offset}", card, f"{blocks}k"])

    (said,) = eye.violations(spoil)
    print(said)
    assert "key" in said, "the board's identity is gone, and with it the key that is pinned"


def test_both_slots_spoilt(eye: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    (rig,) = eye.stand.rigs
    monkeypatch.setattr(rig, "on", functools.partial(rig.on, seconds=SECONDS))

    def spoil(card: Path) -> None:
        with card.open("r+b") as stream:
            for slot in layout.SLOTS.values():
                stream.seek(slot.offset)
                stream.write(bytes(SPOILT_BYTES))

    (said,) = eye.violations(spoil)
    print(said)
    assert f"has not answered within {SECONDS:g} s" in said
    assert "no slot could be booted" in (rig.folder / "console.log").read_text()
