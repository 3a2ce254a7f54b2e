# SPDX-License-Identifier: MIT
"""The power-cut campaign's values: wrong numbers, each violation, then cuts that are repeatable and fall everywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from firmware import bench, campaign, campaign_run, deploy, manifest
from firmware.campaign import Cut, Kind, Seen
from firmware.campaign_run import Measure
from firmware.choice import Choice
from firmware.deploy import Outcome
from firmware.errors import TargetError, UserError

pytestmark = pytest.mark.unit
CUT = Cut(3, "write", 0.25, True)
GOOD = Seen(CUT, campaign.INSTALL, "1.0.0+one", ("1.0.0+one", "1.0.0+two"), True, True, True, True)


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_number_of_cuts_that_makes_no_sense(count: int) -> None:
    with pytest.raises(UserError, match=rf"--power-cuts: {count} .valid: 1 to 10000"):
        campaign.plan(count, 1)


def test_options_of_the_suite_are_refused() -> None:
    campaign.refuse(only=False, quick=False)
    with pytest.raises(UserError, match=r"--power-cuts runs no suite \(valid: without --quick, --lg-env\)"):
        campaign.refuse(only=False, quick=True, gib=False, lg_env=True)


def test_real_board_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only the emulated board's power can be cut"):
        campaign_run.run(Choice().update(host="board-7"), 1, 1, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "0.9.0"}, r"it runs 0.9.0 (valid: 1.0.0+one or 1.0.0+two)"),
        ({"slot_whole": False}, "the slot that runs differs from what was installed"),
        ({"data_whole": False}, "the data partition has lost what was in it"),
        ({"captured": False}, "a capture does not arrive whole"),
        ({"upgraded": False}, "the upgrade, begun again, does not succeed"),
        ({"trouble": "has not rebooted within 900 s"}, "has not rebooted within 900 s"),
    ],
)
def test_what_does_not_hold_is_said_with_the_cut(changes: dict[str, object], said: str) -> None:
    seen = replace(GOOD, **changes)  # type: ignore[arg-type]  # each of its own type
    assert campaign.violations(seen) == [f"cut 3 at 25.0% of the sectors, torn (download and install): {said}"]


def test_all_that_does_not_hold_is_said() -> None:
    assert len(campaign.violations(Seen(CUT, campaign.COMMIT))) == 5 - 1, "no version was ever allowed: it has none"


def test_nothing_is_wrong_with_a_board_that_came_back() -> None:
    assert campaign.violations(GOOD) == []
    assert campaign.violations(replace(GOOD, version="1.0.0+two")) == []


def test_same_seed_gives_the_same_cuts() -> None:
    assert campaign.plan(50, 7) == campaign.plan(50, 7)
    assert campaign.plan(50, 7) != campaign.plan(50, 8)
    assert campaign.plan(50, 7)[:10] == campaign.plan(10, 7)


def test_cuts_fall_everywhere() -> None:
    cuts = campaign.plan(400, 1)
    assert {int(cut.share * 10) for cut in cuts} == set(range(10))
    assert 130 < sum(cut.kind == "write" for cut in cuts) < 190
    assert 50 < sum(cut.kind == "loader" for cut in cuts) < 110
    for step in campaign.STEPS:
        assert sum(cut.kind == "step" and cut.step == step for cut in cuts) > 12
    assert 140 < sum(cut.torn for cut in cuts) < 260


@pytest.mark.parametrize(
    ("said", "phase"),
    [
        ([], campaign.INSTALL),
        (["  46% Copying image to rootfs.1   5 MiB"], campaign.INSTALL),
        (["   99% Copying image to rootfs.1 done.   5 MiB"], campaign.ACTIVATION),
        (["  100% Installing done.   5 MiB"], campaign.ACTIVATION),
        (["installed: 5 MiB", "rebooting"], campaign.FIRST_BOOT),
        (["rebooting", "slot B is healthy; acceptance begins"], campaign.COMMIT),
        (["slot B is committed, version 2", "the boot loader is replaced"], campaign.LOADER),
    ],
)
def test_phase(said: list[str], phase: str) -> None:
    assert campaign.phase(said) == phase


def test_report_tells_where_the_cuts_fell() -> None:
    new = replace(GOOD, phase=campaign.COMMIT, version="1.0.0+two")
    text = campaign.report([GOOD, new, replace(GOOD, captured=False)])
    assert "download and install      2 cuts:    2 old version,    0 new version" in text
    assert "commit                    1 cuts:    0 old version,    1 new version" in text
    assert "3 cuts, 1 violations\ncut 3" in text


# ---- where a cut falls, on a board that is played ----

# what `deploy` says, and the sectors that are written behind that: a slot, and then little
COURSE = [
    ("  46% Copying image to rootfs.1", 1000),
    ("  99% Copying image to rootfs.1 done.", 20),
    (" 100% Installing done.", 4),
    ("installed: 5 MiB", 0),
    ("rebooting", 30),
    ("answers again after 20 s", 6),
    ("slot B is healthy; acceptance begins", 3),
    ("slot B is committed, version 2", 5),
]
WRITES = {campaign.ACTIVATION: 24, campaign.FIRST_BOOT: 36, campaign.COMMIT: 8}


class PlayedCard:
    """A card that counts, and loses its power."""

    def __init__(self) -> None:
        """On."""
        self.writes, self.off_at, self.torn, self.off = 0, 1 << 40, False, False

    def cut_power_after(self, sectors: int, torn: bool) -> None:
        """So many sectors from now on."""
        self.off_at, self.torn = self.writes + sectors, torn

    def cut_power(self) -> None:
        """Now."""
        self.off = True

    def write(self, sectors: int) -> None:
        """As long as there is power."""
        self.writes = min(self.writes + sectors, self.off_at)
        if self.writes == self.off_at or self.off:
            self.off = True
            raise campaign_run.PowerCut("the power was cut")


class PlayedStand:
    """The board with that card; it comes back as good as it was."""

    machine = None

    def __init__(self) -> None:
        """With nothing kept."""
        self.faults, self.kept = PlayedCard(), list[int]()
        output = SimpleNamespace(name="board-7", put=lambda *_words, **_options: None, output=lambda *_words, **_o: "")
        self.board = SimpleNamespace(target=output)
        self.sentinel = b""

    def on(self) -> SimpleNamespace:
        """Powered again, when it was off."""
        if self.faults.off:
            self.faults = PlayedCard()
        return self.board

    def keep(self, _found: object, number: int) -> None:
        """Remember for which cut."""
        self.kept.append(number)

    def examine(self, _found: object, seen: Seen) -> Seen:
        """All is well."""
        return replace(seen, version="1+one", slot_whole=True, data_whole=True, captured=True)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> PlayedStand:
    made = PlayedStand()

    def upgrade(_target: object, offer: SimpleNamespace, _accept: object, say: Callable[[str], None]) -> Outcome:
        for text, sectors in COURSE:
            say(text)
            made.faults.write(sectors)
        return Outcome("committed", "B", offer.version)

    def loader(_target: object, say: Callable[[str], None]) -> bool:
        say("board-7: the boot loader is replaced, if it is another one")
        made.faults.write(40)
        return True

    monkeypatch.setattr(deploy, "deploy", upgrade)
    monkeypatch.setattr(deploy, "replace_boot_loader", loader)
    return made


def version(name: str) -> Any:
    return SimpleNamespace(offer=SimpleNamespace(version=f"1+{name}"))


def cut_once(stand: PlayedStand, one: Cut) -> Seen:
    measure = campaign_run.prepare(stand, version("one"))  # type: ignore[arg-type]  # played
    return campaign_run.cut(stand, one, measure, version("one"), version("two"))  # type: ignore[arg-type]


def test_upgrade_is_measured_step_by_step(stand: PlayedStand) -> None:
    measure = campaign_run.prepare(stand, version("one"))  # type: ignore[arg-type]  # played
    assert (measure.writes, measure.loader_writes, measure.steps) == (1068, 40, WRITES)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("step", campaign.STEPS)
def test_cut_of_a_step_falls_into_it(stand: PlayedStand, step: str, share: float) -> None:
    seen = cut_once(stand, Cut(7, "step", share, True, step))
    assert seen.phase == step
    assert campaign.violations(seen) == []
    assert stand.kept == [7]


@pytest.mark.parametrize(
    ("kind", "share", "phase"),
    [("write", 0.5, campaign.INSTALL), ("write", 0.97, campaign.FIRST_BOOT), ("loader", 0.5, campaign.LOADER)],
)
def test_cut_of_another_kind(stand: PlayedStand, kind: Kind, share: float, phase: str) -> None:
    assert cut_once(stand, Cut(1, kind, share, False)).phase == phase


def test_cut_that_cannot_be_looked_at_is_a_violation(stand: PlayedStand, monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(_found: object, _seen: Seen) -> Seen:
        raise TargetError("board-7", "sha256sum: /data/campaign: No such file or directory")

    monkeypatch.setattr(stand, "examine", examine)
    (said,) = campaign.violations(cut_once(stand, Cut(1, "write", 0.5, False)))
    assert said.endswith("/data/campaign: No such file or directory")


# ---- a campaign that is stopped, and goes on ----


class Stand:
    """A board that is played; `bad` is the cut that it does not stand, `stops` the one at which somebody stops it."""

    versions = ("one", "two")
    bad, stops = 0, 0
    made: ClassVar[list[str]] = []

    def __init__(self, _choice: Choice, folder: Path) -> None:
        """With a card."""
        folder.mkdir(parents=True)
        (folder / "card.img").touch()

    def off(self) -> None:
        """It is off."""


def prepare(_stand: Stand, first: str) -> Measure:
    Stand.made.append(f"prepared with {first}")
    return Measure(1000, 100.0, 10)


def cut_played(_stand: Stand, one: Cut, _measure: Measure, old: str, new: str) -> Seen:
    if one.number == Stand.stops:
        raise KeyboardInterrupt
    Stand.made.append(f"{one.number} from {old} to {new}")
    return replace(GOOD, cut=one, captured=one.number != Stand.bad)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "REPORT", tmp_path / "reports" / "bench.json")
    monkeypatch.setattr(campaign_run, "Stand", Stand)
    monkeypatch.setattr(campaign_run, "prepare", prepare)
    monkeypatch.setattr(campaign_run, "cut", cut_played)
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


def test_violation_ends_the_run_and_its_card_stays_when_it_goes_on(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stand, "bad", 2)
    for _ in range(2):  # the second time it goes on behind it; what was seen stays seen
        with pytest.raises(TargetError, match=r"1 violations; cards and consoles: .*seed-1-cut-\*"):
            campaign_run.run(Choice(), 3, 1, tmp_path)
        assert (tmp_path / "seed-1-cut-2" / "card.img").exists()
    assert [line for line in Stand.made if "prepared" not in line] == [
        "1 from one to two", "2 from two to one", "3 from one to two",
    ]  # fmt: skip
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
    assert Stand.made[4:] == ["prepared with two", "4 from two to one", "5 from one to two"]
    assert [seen.cut for seen in found] == campaign.plan(5, 1)
    assert json.loads(bench.REPORT.read_text())["power_cuts"]["value"] == 5


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
    assert Stand.made[len(made) :] == ["prepared with one", "3 from one to two"]
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
