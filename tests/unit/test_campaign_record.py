# SPDX-License-Identifier: MIT
"""An upgrade that was recorded: where each kind of cut falls, the card that it leaves, and which phases are told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import campaign, campaign_record, campaign_stand, deploy, layout, reach
from firmware.campaign import Cut
from firmware.campaign_record import Record
from firmware.campaign_stand import Version
from firmware.card_journal import BEGINS, RECORD, Journal
from firmware.deploy import Offer, Outcome
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
    """A live board that writes as in COURSE; `made`: how often it was switched on."""

    def __init__(self, folder: Path) -> None:
        """It has no card."""
        self.card, self.writes, self.options, self.made = folder / "card.img", 0, dict[str, str](), 0
        self.folder = folder
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
        self.made += 1
        if options:
            record(self.folder / "record")  # the journal
        return self.found

    def off(self) -> None:
        """No power."""


SAID = {
    campaign.INSTALL: "46% Copying image",
    campaign.ACTIVATION: "installed: 5 MiB",
    campaign.FIRST_BOOT: "rebooting",
    campaign.COMMIT: "slot B is healthy",
}


def version(name: str) -> Any:
    return Version(Offer("board-7", name, Path(name), ""), 4096, name * 3)


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One whose live board is played; `action`: how its upgrade ends."""
    rig = Rig(tmp_path)
    built = SimpleNamespace(files={"image": SimpleNamespace(sha256="0" * 64)})
    made: Any = SimpleNamespace(live=rig, record=tmp_path / "record", versions=[version("1+one"), None], sentinel=b"")
    made.built, made.known, made.action, made.version_built = built, None, "committed", lambda _card: version("1")
    made.record.mkdir()

    def upgrade(_target: object, _offer: object, _accept: object, say: Any) -> Outcome:
        for phase, text in SAID.items():
            say(text)
            rig.writes += sum(count for _, count in COURSE[phase])
        return Outcome(made.action, "B", "1+one")

    def loader(_target: object, say: Any) -> None:
        say("the boot loader is replaced")
        rig.writes += 6

    def make_card(_built: object, card: Path, _known: object) -> None:
        (made.record / "known_hosts").touch()
        card.touch()

    monkeypatch.setattr(deploy, "deploy", upgrade)
    monkeypatch.setattr(deploy, "replace_boot_loader", loader)
    monkeypatch.setattr(reach, "make_card", make_card)
    monkeypatch.setattr(Offer, "of", lambda _built: version("1").offer)
    return made


def test_upgrade_that_goes_wrong_without_a_cut_is_no_record(stand: Any) -> None:
    stand.action = "reverted"
    with pytest.raises(TargetError, match="an upgrade that nobody cuts does not succeed:\n46% Copying"):
        campaign_record.of(stand)
    assert not (stand.record / campaign_record.FACTS).exists()


def test_upgrade_is_recorded_phase_by_phase(stand: Any) -> None:
    made: Any = campaign_record.of(stand)
    assert (made.begun, made.end, made.kept) == (BEGUN, END, "kept")
    assert made.versions == (version("1"), version("1+one"))
    assert stand.live.options == {"cyclone5_sdmmc__journal": str(stand.record / "journal")}


def test_record_that_is_there_is_not_made_again_and_the_live_card_is_that_of_its_end(stand: Any) -> None:
    first, times = campaign_record.of(stand), stand.live.made
    with (stand.record / "journal").open("ab") as stream:  # what the board wrote until it was off
        stream.write(RECORD.pack(SPL // SECTOR_BYTES, 1, BEGINS) + bytes(SECTOR_BYTES))
    stand.live.card.unlink()
    again = campaign_record.of(stand)
    assert stand.live.made == times
    assert (again.begun, again.end, again.seconds, again.kept) == (first.begun, first.end, first.seconds, first.kept)
    assert again.versions == first.versions
    assert content(stand.live.card, SPL, 6) == b"".join(bytes([number]) * SECTOR_BYTES for number in range(118, 124))


@pytest.mark.parametrize("spoil", ["facts", "journal", "base", "image"])
def test_record_that_is_not_whole_or_of_another_image_is_made_anew(stand: Any, spoil: str) -> None:
    campaign_record.of(stand)
    times = stand.live.made
    if spoil == "facts":
        (stand.record / campaign_record.FACTS).write_text("{")
    elif spoil == "journal":
        (stand.record / campaign_record.JOURNAL).write_bytes(bytes(100))
    elif spoil == "base":
        (stand.record / campaign_record.BASE).unlink()
    else:
        stand.built.files["image"].sha256 = "1" * 64
    assert campaign_record.of(stand).end == END
    assert stand.live.made == times + 2


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
