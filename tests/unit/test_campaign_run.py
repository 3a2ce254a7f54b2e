# SPDX-License-Identifier: MIT
"""The power-cut campaign as it runs: cuts of a board that is played; a campaign that is stopped, and goes on."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from firmware import bench, campaign, campaign_record, campaign_run, deploy, emulator_build, manifest
from firmware.campaign import Cut, Seen
from firmware.choice import Choice
from firmware.deploy import Outcome
from firmware.errors import TargetError, UserError

pytestmark = pytest.mark.unit
CUT = Cut(3, "write", 0.25, True)
GOOD = Seen(CUT, campaign.INSTALL, "1.0.0+one", ("1.0.0+one", "1.0.0+two"), True, True, True, True)


# ---- a cut, on a board that is played ----


class PlayedRig:
    """A board that comes back with `version`; `said`: what was done with it."""

    machine, is_killed, folder = None, False, Path("live")

    def __init__(self, said: list[str], version: str) -> None:
        """It is off."""
        self.said, self.version, self.card, self.faults = said, version, Path("card"), self
        target = SimpleNamespace(put=lambda *_words, **_options: None, output=lambda *_words, **_options: "kept")
        self.found = SimpleNamespace(target=target)

    def on(self) -> SimpleNamespace:
        """Powered again."""
        self.said.append("on")
        return self.found

    def off(self) -> None:
        """No power."""
        self.said.append("off")

    def start(self) -> None:
        """Powered."""

    def killed(self) -> bool:
        """By somebody."""
        return self.is_killed

    def cut_power(self) -> None:
        """Now."""
        self.said.append("cut")

    def examine(self, _found: object, seen: Seen, _versions: object, kept: str) -> Seen:
        """All is well."""
        return replace(seen, version=self.version, slot_whole=True, data_whole=kept == "kept", captured=True)


class Played:
    """A stand with such boards, and the recorded upgrade of it."""

    def __init__(self, version: str) -> None:
        """Cut boards come back with `version`."""
        self.said: list[str] = []
        self.live = PlayedRig(self.said, version)
        self.live_seconds = 0.0
        self.versions = [version_of("1+one"), version_of("1+two")]
        restore = lambda one, card: self.said.append(f"{card} of cut {one.number}")  # noqa: E731
        versions = (version_of("1"), version_of("1+one"))
        self.record: Any = SimpleNamespace(
            versions=versions, kept="kept", seconds=0.0, restore=restore, phase=lambda _one: campaign.COMMIT
        )


def version_of(name: str) -> Any:
    return SimpleNamespace(offer=SimpleNamespace(version=name))


@pytest.fixture
def played(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Played:
    made = Played(request.param)

    def upgrade(
        _target: object, offer: Any, _accept: object = None, plan: Any = deploy.PLAN, say: Any = None
    ) -> Outcome:
        made.said.append(f"{'ask' if plan.dry_run else 'upgrade'} {offer.version}")
        say("rebooting")
        return Outcome("checked" if plan.dry_run else "committed", "B", offer.version)

    monkeypatch.setattr(deploy, "deploy", upgrade)
    monkeypatch.setattr(deploy, "replace_boot_loader", lambda _target, _say: made.said.append("loader"))
    return made


@pytest.mark.parametrize(
    ("played", "whole", "done"),
    [
        ("1", False, ["ask 1+one"]),
        ("1", True, ["upgrade 1+one", "loader"]),
        ("1+one", False, ["upgrade 1+one", "loader"]),
    ],
    indirect=["played"],
)
def test_recorded_cut_is_looked_at_and_upgraded_again(played: Played, whole: bool, done: list[str]) -> None:
    one = Cut(7, "elsewhere", 0.5, True, whole=whole)
    seen = campaign_run.cut_recorded(played.live, one, played.record)  # type: ignore[arg-type]  # played
    assert played.said == ["card of cut 7", "on", *done, "off"]
    assert campaign.violations(seen) == []
    assert (seen.phase, seen.whole) == (campaign.COMMIT, done != ["ask 1+one"])


@pytest.mark.parametrize("played", ["1"], indirect=True)
@pytest.mark.parametrize("action", ["unchanged", "reverted"])
def test_board_that_would_not_begin_the_upgrade_is_a_violation(
    played: Played, monkeypatch: pytest.MonkeyPatch, action: Any
) -> None:
    monkeypatch.setattr(deploy, "deploy", lambda *_words, **_options: Outcome(action, "A", "1"))
    one = Cut(7, "elsewhere", 0.5, True, whole=False)
    (said,) = campaign.violations(campaign_run.cut_recorded(played.live, one, played.record))  # type: ignore[arg-type]
    assert said.endswith("the upgrade cannot be begun again")


@pytest.mark.parametrize("played", ["1+two"], indirect=True)
def test_cut_at_an_instant_goes_to_and_fro(played: Played) -> None:
    for old, new in (("1+one", "1+two"), ("1+two", "1+one")):
        played.said.clear()
        seen = campaign_run.cut_live(played, Cut(3, "instant", 0.5, False), played.record)  # type: ignore[arg-type]
        assert [word for word in played.said if "cut" not in word] == [
            "on", f"upgrade {new}", "loader", "on", f"upgrade {new}", "loader", "off",
        ]  # fmt: skip
        assert (seen.allowed, seen.phase, seen.whole) == ((old, new), campaign.FIRST_BOOT, True)
        assert campaign.violations(seen) == []


def cut_that_fails(played: Played, monkeypatch: pytest.MonkeyPatch, way: str) -> Seen:
    """A cut whose board cannot be looked at."""

    def examine(*_words: object) -> Seen:
        raise TargetError("board-7", "sha256sum: /data/campaign: No such file or directory")

    monkeypatch.setattr(played.live, "examine", examine)
    cut: Any = getattr(campaign_run, f"cut_{way}")
    where = played if way == "live" else played.live
    seen: Seen = cut(where, Cut(1, "write", 0.5, False), played.record)
    return seen


@pytest.mark.parametrize("played", ["1"], indirect=True)
@pytest.mark.parametrize("way", ["recorded", "live"])
def test_cut_that_cannot_be_looked_at_is_a_violation(played: Played, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    (said,) = campaign.violations(cut_that_fails(played, monkeypatch, way))
    assert said.endswith("/data/campaign: No such file or directory")


@pytest.mark.parametrize("played", ["1"], indirect=True)
@pytest.mark.parametrize("way", ["recorded", "live"])
def test_trouble_of_this_computer_is_no_violation(played: Played, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(played.live, "is_killed", True)
    with pytest.raises(TargetError, match=r"QEMU has ended, and not by a power cut: .*qemu.log"):
        cut_that_fails(played, monkeypatch, way)
    assert played.said[-1] == "off"


@pytest.mark.parametrize("played", ["1+one"], indirect=True)
def test_instants_are_of_an_upgrade_as_long_as_the_last_one(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []

    def timer(seconds: float, *_words: object) -> SimpleNamespace:
        delays.append(seconds)
        return SimpleNamespace(start=list, cancel=list)

    monkeypatch.setattr(threading, "Timer", timer)
    played.record.seconds, played.live_seconds = 100.0, 0.0
    for known in (0.0, 300.0):
        played.live_seconds = known
        campaign_run.cut_live(played, Cut(3, "instant", 0.5, False), played.record)  # type: ignore[arg-type]  # played
    assert delays == [50.0, 150.0]


@pytest.mark.parametrize(("played", "is_timed"), [("1+one", True), ("1+two", False)], indirect=["played"])
def test_only_a_whole_upgrade_of_the_live_board_is_timed(played: Played, is_timed: bool) -> None:
    campaign_run.cut_live(played, Cut(3, "instant", 0.5, False), played.record)  # type: ignore[arg-type]  # played
    assert (played.live_seconds > 0) is is_timed


@pytest.mark.parametrize("played", ["1"], indirect=True)
def test_live_board_that_does_not_come_up_before_its_cut_is_a_violation(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on() -> None:
        raise TargetError("board-7", "has not answered within 900 s")

    monkeypatch.setattr(played.live, "on", on)
    cut = Cut(1, "instant", 0.5, False)
    (said,) = campaign.violations(campaign_run.cut_live(played, cut, played.record))  # type: ignore[arg-type]  # played
    assert said.endswith("has not answered within 900 s")


@pytest.mark.parametrize(("free_mib", "count"), [(100, 1), (2000, 1), (3100, 2), (64_000, 4)])
def test_no_more_boards_at_a_time_than_there_is_memory_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, count: int
) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text(f"MemTotal:       99999999 kB\nMemAvailable:   {free_mib * 1024} kB\n")
    monkeypatch.setattr(campaign_run, "MEMORY", memory)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    assert campaign_run.at_once() == count
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert campaign_run.at_once() == 1


# ---- a campaign that is stopped, and goes on ----


class Stand:
    """A board that is played; `bad` is the cut that it does not stand, `stops` the one at which somebody stops it."""

    bad, stops = 0, 0
    made: ClassVar[list[str]] = []

    def __init__(self, _choice: Choice, folder: Path, at_once: int) -> None:
        """With a card."""
        shutil.rmtree(folder, ignore_errors=True)  # as the real one does
        folder.mkdir(parents=True)
        self.live, *self.rigs = (SimpleNamespace(folder=folder / str(number)) for number in range(at_once + 1))
        for rig in (self.live, *self.rigs):
            rig.folder.mkdir()
            (rig.folder / "card.img").touch()

    def off(self) -> None:
        """It is off."""

    def retire(self) -> None:
        """It is off for good."""


class PlayedRecord:
    """An upgrade that was recorded."""

    seconds, end = 100.0, 1000

    def sectors(self) -> dict[str, int]:
        """One phase."""
        return {campaign.INSTALL: 1000}

    def restore(self, one: Cut, card: Path) -> None:
        """As it was cut."""
        card.write_text(str(one))


def record(_stand: Stand) -> PlayedRecord:
    Stand.made.append("recorded")
    return PlayedRecord()


def cut_played(way: str) -> Callable[[object, Cut, PlayedRecord], Seen]:
    def cut(_where: object, one: Cut, _record: PlayedRecord) -> Seen:
        if one.number == Stand.stops:
            raise KeyboardInterrupt
        Stand.made.append(f"{one.number} {way}")
        return replace(GOOD, cut=one, captured=one.number != Stand.bad)

    return cut


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "REPORT", tmp_path / "reports" / "bench.json")
    monkeypatch.setattr(campaign_run, "Stand", Stand)
    monkeypatch.setattr(campaign_run, "at_once", lambda: 1)  # in their order
    monkeypatch.setattr(emulator_build, "build", lambda: tmp_path)
    monkeypatch.setattr(campaign_record, "of", record)
    for way in ("live", "recorded"):
        monkeypatch.setattr(campaign_run, f"cut_{way}", cut_played(way))
    image = SimpleNamespace(files={"image": SimpleNamespace(sha256="0" * 64)})
    monkeypatch.setattr(manifest, "load_built", lambda _board, _engine: image)
    monkeypatch.setattr(Stand, "bad", 0)
    monkeypatch.setattr(Stand, "stops", 0)
    monkeypatch.setattr(Stand, "made", [])
    return tmp_path / "reports" / "power-cuts-1.json"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": 2, "image": "", "cuts": []}'])
def test_file_that_is_no_log_of_the_seed_is_left_alone(place: Path, tmp_path: Path, text: str) -> None:
    place.parent.mkdir()
    place.write_text(text)
    with pytest.raises(UserError, match=r"power-cuts-1.json is no log of seed 1: .*valid: delete it"):
        campaign_run.run(Choice(), 3, 1, tmp_path)
    assert place.read_text() == text
    assert Stand.made == []


def test_second_campaign_of_the_same_seed_is_refused(place: Path, tmp_path: Path) -> None:
    with campaign_run.alone(tmp_path / "seed-1"):
        with pytest.raises(UserError, match=r"under way in .*seed-1 .valid: another --seed"):
            campaign_run.run(Choice(), 1, 1, tmp_path)
        assert Stand.made == []
        assert len(campaign_run.run(Choice(), 1, 2, tmp_path)) == 1
    assert not place.exists()


def test_violation_ends_the_run_and_its_card_stays_when_it_goes_on(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stand, "bad", 2)
    for _ in range(2):  # the second time it goes on behind it; what was seen stays seen
        with pytest.raises(TargetError, match=r"1 violations; cards and consoles: .*seed-1-cut-\*"):
            campaign_run.run(Choice(), 3, 1, tmp_path)
        assert (tmp_path / "seed-1-cut-2" / "card.img").exists()
        assert (tmp_path / "seed-1-cut-2" / "cut.img").read_text().startswith("cut 2 at")
    assert Stand.made == ["recorded", "1 recorded", "2 recorded", "recorded", "3 live"]
    assert json.loads(bench.REPORT.read_text())["power_cut_violations"]["value"] == 1


def test_stopped_campaign_goes_on_with_the_cut_that_was_under_way(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stand, "stops", 4)
    with pytest.raises(KeyboardInterrupt):
        campaign_run.run(Choice(), 5, 1, tmp_path)
    assert len(json.loads(place.read_text())["cuts"]) == 3
    monkeypatch.setattr(Stand, "stops", 0)
    shutil.rmtree(tmp_path / "seed-1")  # as the real stand does
    found = campaign_run.run(Choice(), 5, 1, tmp_path)
    assert Stand.made == ["recorded", "1 recorded", "2 recorded", "3 live", "recorded", "4 live", "5 recorded"]
    assert [seen.cut for seen in found] == campaign.plan(5, 1)
    assert json.loads(bench.REPORT.read_text())["power_cuts"]["value"] == 5


def test_cuts_of_the_log_in_any_order_are_not_made_again(place: Path, tmp_path: Path) -> None:
    first = campaign_run.run(Choice(), 5, 1, tmp_path)
    shutil.rmtree(tmp_path / "seed-1")
    facts = json.loads(place.read_text())
    facts["cuts"] = [facts["cuts"][at] for at in (4, 0, 2)]  # as two at a time, stopped, may leave it
    place.write_text(json.dumps(facts))
    Stand.made.clear()
    assert campaign_run.run(Choice(), 5, 1, tmp_path) == first
    assert Stand.made == ["recorded", "2 recorded", "4 live"]


def test_campaign_that_is_done_is_told_again_and_a_greater_number_goes_on(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = campaign_run.run(Choice(), 2, 1, tmp_path)
    made = list(Stand.made)
    capsys.readouterr()
    assert campaign_run.run(Choice(), 2, 1, tmp_path) == first
    assert Stand.made == made
    assert "2 cuts, 0 violations" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "seed-1")
    assert campaign_run.run(Choice(), 3, 1, tmp_path)[:2] == first
    assert Stand.made[len(made) :] == ["recorded", "3 live"]
    assert f"2 cuts are done already ({place}): it goes on with cut 3 at" in capsys.readouterr().out


def test_another_image_begins_anew_and_the_old_log_stays(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_run.run(Choice(), 2, 1, tmp_path)
    shutil.rmtree(tmp_path / "seed-1")
    image = SimpleNamespace(files={"image": SimpleNamespace(sha256="1" * 64)})
    monkeypatch.setattr(manifest, "load_built", lambda _board, _engine: image)
    campaign_run.run(Choice(), 1, 1, tmp_path)
    assert len(json.loads(place.read_text())["cuts"]) == 1
    assert len(json.loads(place.with_suffix(".old.json").read_text())["cuts"]) == 2


def test_log_of_cuts_that_are_others_by_now_stays_and_the_campaign_begins_anew(place: Path, tmp_path: Path) -> None:
    campaign_run.run(Choice(), 2, 1, tmp_path)
    shutil.rmtree(tmp_path / "seed-1")
    place.write_text(place.read_text().replace('"kind": "loader"', '"kind": "write"'))
    campaign_run.run(Choice(), 1, 1, tmp_path)
    assert len(json.loads(place.read_text())["cuts"]) == 1
    assert len(json.loads(place.with_suffix(".old.json").read_text())["cuts"]) == 2
