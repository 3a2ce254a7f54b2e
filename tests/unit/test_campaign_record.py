# SPDX-License-Identifier: MIT
"""An upgrade that was recorded: where each kind of cut falls, the card that it leaves, and which phases are told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import campaign, campaign_record, campaign_stand, deploy, layout, rollout
from firmware.campaign import Cut
from firmware.campaign_record import Record
from firmware.card_journal import BEGINS, RECORD, Journal
from firmware.deploy import Outcome
from firmware.errors import TargetError
from firmware.layout import SECTOR_BYTES

pytestmark = pytest.mark.unit
ENVIRONMENT = layout.ENVIRONMENT_OFFSETS[0]
SPL = layout.BOOT.offset
# what the board writes: before the upgrade, then in each phase
COURSE = {
    "": [(layout.DATA.offset, 3)],
    campaign.INSTALL: [(layout.SLOT_B.offset, 90), (layout.DATA.offset, 10)],
    campaign.ACTIVATION: [(ENVIRONMENT, 5)],
    campaign.FIRST_BOOT: [(ENVIRONMENT, 3), (layout.DATA.offset, 4)],
    campaign.COMMIT: [(ENVIRONMENT, 2)],
    campaign.LOADER: [(SPL, 6)],
}
BEGUN = {name: begin for name, begin in zip(list(COURSE)[1:], (3, 103, 108, 115, 117), strict=True)}
END = 123


def record(folder: Path, begun: dict[str, int] = BEGUN) -> Record:
    """Sector n of all that is written is full of n."""
    with (folder / "journal").open("wb") as stream:
        number = 0
        for offset, count in (each for phase in COURSE.values() for each in phase):
            stream.write(RECORD.pack(offset // SECTOR_BYTES, count, BEGINS))
            for _ in range(count):
                number += 1
                stream.write(bytes([number]) * SECTOR_BYTES)
    (folder / "base.img").touch()
    versions: Any = ("old", "new")
    return Record(folder / "base.img", Journal(folder / "journal"), begun, END, 100.0, "kept", versions)


def content(card: Path, offset: int, sectors: int) -> bytes:
    with card.open("rb") as stream:
        stream.seek(offset)
        return stream.read(sectors * SECTOR_BYTES)


def test_sectors_of_each_phase(tmp_path: Path) -> None:
    assert list(record(tmp_path).sectors().values()) == [100, 5, 7, 2, 6]


@pytest.mark.parametrize(
    ("kind", "step", "first", "last"),
    [
        ("write", "", 4, 117),
        ("elsewhere", "", 94, 117),
        ("step", campaign.ACTIVATION, 104, 108),
        ("step", campaign.FIRST_BOOT, 109, 115),
        ("step", campaign.COMMIT, 116, 117),
        ("loader", "", 118, 123),
    ],
)
def test_cut_falls_into_its_part(tmp_path: Path, kind: Any, step: str, first: int, last: int) -> None:
    made = record(tmp_path)
    shares = [at / 500 for at in range(500)]
    found = {made.position(Cut(1, kind, share, False, step)) for share in shares}
    assert found == set(range(first, last + 1))
    phases = {made.phase(Cut(1, kind, share, False, step)) for share in shares}
    assert phases == {"step": {step}, "loader": {campaign.LOADER}}.get(kind, set(campaign.PHASES) - {campaign.LOADER})


def test_step_that_seems_to_write_nothing_is_cut_elsewhere(tmp_path: Path) -> None:
    made = record(tmp_path, {**BEGUN, campaign.COMMIT: 117})
    assert made.position(Cut(1, "step", 0.0, False, campaign.COMMIT)) == 94


@pytest.mark.parametrize("torn", [False, True])
def test_card_of_a_cut(tmp_path: Path, torn: bool) -> None:
    made = record(tmp_path)
    made.restore(Cut(1, "step", 0.0, torn, campaign.FIRST_BOOT), tmp_path / "cut.img")  # the 109th
    half = SECTOR_BYTES // 2
    expected = bytes([109]) * half + bytes([104 if torn else 109]) * half + bytes([105]) * SECTOR_BYTES
    assert content(tmp_path / "cut.img", ENVIRONMENT, 2) == expected
    assert (tmp_path / "base.img").stat().st_size == 0, "the card before the upgrade stays as it was"


def test_scattered_cut_is_another_one(tmp_path: Path) -> None:
    made = record(tmp_path)
    cards = []
    for number in range(12):
        made.restore(Cut(number, "loader", 0.5, False, scattered=True), tmp_path / "cut.img")
        spl = content(tmp_path / "cut.img", SPL, 6)
        cards.append(spl)
        assert sum(spl[at] != 0 for at in range(0, len(spl), SECTOR_BYTES)) == 3
    assert len(set(cards)) > 3


def test_phases_are_told_once_each() -> None:
    begun: list[str] = []
    say = campaign_record.watched([], begun.append)
    for line in ("46% Copying image", "99% Copying image to rootfs.1 done.", "installed: 5 MiB", "rebooting"):
        say(line)
    for line in ("slot B is healthy; acceptance begins", "slot B is committed", "the boot loader is replaced"):
        say(line)
    assert begun == [*campaign.STEPS, campaign.LOADER]


class Rig:
    """A live board that writes as in COURSE."""

    def __init__(self, folder: Path) -> None:
        """Its card is there."""
        self.card, self.writes, self.options = folder / "card.img", 0, dict[str, str]()
        self.card.touch()
        self.found = SimpleNamespace(
            target=SimpleNamespace(name="board-7", put=lambda *_words, **_o: None, output=lambda *_words, **_o: "kept")
        )

    @property
    def faults(self) -> Rig:
        """Its card's."""
        return self

    def on(self, options: dict[str, str] | None = None) -> Any:
        """Powered; what is written from now on is counted."""
        self.writes, self.options = 3, options or {}
        return self.found

    def off(self) -> None:
        """No power."""


@pytest.mark.parametrize("action", ["committed", "reverted"])
def test_upgrade_is_recorded_phase_by_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Any) -> None:
    record(tmp_path)  # the journal
    rig = Rig(tmp_path)
    said = {
        campaign.INSTALL: "46% Copying image",
        campaign.ACTIVATION: "installed: 5 MiB",
        campaign.FIRST_BOOT: "rebooting",
        campaign.COMMIT: "slot B is healthy",
    }

    def upgrade(_target: object, _offer: object, _accept: object, say: Any) -> Outcome:
        for phase, text in said.items():
            say(text)
            rig.writes += sum(count for _, count in COURSE[phase])
        return Outcome(action, "B", "1+one")

    def loader(_target: object, say: Any) -> None:
        say("the boot loader is replaced")
        rig.writes += 6

    monkeypatch.setattr(deploy, "deploy", upgrade)
    monkeypatch.setattr(deploy, "replace_boot_loader", loader)
    monkeypatch.setattr(rollout, "accept", lambda _found: None)
    new = SimpleNamespace(offer=SimpleNamespace(version="1+one"))
    stand: Any = SimpleNamespace(
        live=rig, folder=tmp_path, versions=[new, None], sentinel=b"", version_built=lambda _card: "old"
    )
    if action == "reverted":
        with pytest.raises(TargetError, match="an upgrade that nobody cuts does not succeed:\n46% Copying"):
            campaign_record.make(stand)
        return
    made: Any = campaign_record.make(stand)
    assert (made.begun, made.end, made.versions, made.kept) == (BEGUN, END, ("old", new), "kept")
    assert rig.options == {"cyclone5_sdmmc__journal": str(tmp_path / "journal")}


def test_sum_of_a_slot_sees_one_changed_byte_of_it_and_none_beside(tmp_path: Path) -> None:
    card, size = tmp_path / "card.img", 3 * campaign_stand.CHUNK_BYTES // 2
    with card.open("wb") as stream:
        stream.truncate(layout.IMAGE_BYTES)
    good = campaign_stand.slot_sha256(card, "B", size)
    for at, same in ((-1, True), (0, False), (size - 1, False), (size, True)):
        with card.open("r+b") as stream:
            stream.seek(layout.SLOT_B.offset + at)
            stream.write(b"\1")
            stream.flush()
            assert (campaign_stand.slot_sha256(card, "B", size) == good) is same
            stream.seek(layout.SLOT_B.offset + at)
            stream.write(b"\0")
