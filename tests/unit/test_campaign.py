# SPDX-License-Identifier: MIT
"""The power-cut campaign's values: wrong numbers, each violation, then cuts that are repeatable and fall everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firmware import campaign, campaign_run
from firmware.campaign import Cut, Seen
from firmware.choice import Choice
from firmware.errors import UserError

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
        ({"upgraded": False, "whole": False}, "the upgrade cannot be begun again"),
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
    recorded = [cut for cut in cuts if cut.kind != "instant"]
    assert {int(cut.share * 10) for cut in cuts} == set(range(10))
    assert 25 < len(cuts) - len(recorded) < 60
    for kind in campaign.RECORDED:
        assert 65 < sum(cut.kind == kind for cut in cuts) < 115
    for step in campaign.STEPS:
        assert sum(cut.kind == "step" and cut.step == step for cut in cuts) > 15
    assert 150 < sum(cut.torn for cut in recorded) < 210
    assert 90 < sum(cut.scattered for cut in recorded) < 150
    assert 25 < sum(cut.whole for cut in recorded) < 70


def test_instants_are_of_a_whole_upgrade_and_tear_nothing() -> None:
    instants = [cut for cut in campaign.plan(400, 1) if cut.kind == "instant"]
    assert not any(cut.torn or cut.scattered or not cut.whole or cut.step for cut in instants)


def test_cut_is_told_with_all_that_it_does() -> None:
    told = str(Cut(9, "step", 0.5, True, campaign.COMMIT, scattered=True))
    assert told == "cut 9 at 50.0% of the sectors of commit, torn, scattered"


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


def test_report_tells_how_the_cuts_were_made() -> None:
    asked = replace(GOOD, cut=Cut(4, "elsewhere", 0.5, False, scattered=True, whole=False), whole=False)
    instant = replace(GOOD, cut=Cut(5, "instant", 0.5, False))
    line = "1 at an instant, 1 torn, 1 scattered, 2 upgraded again as a whole"
    assert line in campaign.report([GOOD, asked, instant])
