# SPDX-License-Identifier: MIT
"""Verdict, history and report: what is no verdict is refused, noise is no regression, and the page stands alone."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from firmware import history, paths, report, verdict
from firmware.errors import UserError
from firmware.history import History, compare
from firmware.verdict import Case, Identity, Measure, Outcome, Plot, Step, Verdict

pytestmark = pytest.mark.unit

IDENTITY = Identity(
    board="sockit",
    engine="debian",
    version="1.2",
    tree="abc",
    image_sha256="0" * 64,
    rootfs_sha256="1" * 64,
    kernel="6.1",
    u_boot="2023.01",
    host="board-7",
    emulated=False,
)


def case(name: str = "test_x", outcome: Outcome = "passed", **more: object) -> Case:
    """A case."""
    title = name.replace("_", " ")
    return Case.model_validate(
        {"name": name, "promise": "driver", "title": title, "outcome": outcome, "seconds": 2.0} | more
    )


def run(*cases: Case, began: str = "2026-01-01T00:00:00Z", **identity: object) -> Verdict:
    """A verdict of these cases."""
    who = IDENTITY.model_copy(update=identity)
    return Verdict(identity=who, selection="", began=began, seconds=9.0, cases=list(cases))


def speed(value: float, began: str) -> Verdict:
    """A good run that measured a speed."""
    return run(case(measures=[Measure(name="stream", value=value, unit="MiB/s", better="higher")]), began=began)


def test_no_verdict_and_a_wrong_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no verdict .* \(valid: run \./inv test first\)"):
        verdict.load(tmp_path / "acceptance.json")
    (tmp_path / "acceptance.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match=r"acceptance\.json: .*\(valid: what \./inv test writes\)"):
        verdict.load(tmp_path / "acceptance.json")


@pytest.mark.parametrize("outcome", ["failed", "blocked"])
def test_one_case_that_did_not_pass_is_no_acceptance(outcome: Outcome) -> None:
    assert run(case(), case("test_y", "skipped")).good
    assert not run(case(), case("test_y", outcome)).good


def test_nothing_that_passed_is_no_acceptance() -> None:
    assert not run().good
    assert not run(case(outcome="skipped")).good


def test_first_cause_is_the_first_failure() -> None:
    found = run(case("test_a"), case("test_b", "failed"), case("test_c", "failed")).first_cause
    assert found
    assert found.name == "test_b"


def test_verdict_comes_back_from_its_text(tmp_path: Path) -> None:
    kept = run(case(steps=[Step(name="s", at=0, seconds=1)], evidence={"journal": "x"}))
    (tmp_path / "v.json").write_text(kept.text())
    assert verdict.load(tmp_path / "v.json") == kept


def test_file_that_is_no_history_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("not SQLite, but long enough to be looked at" * 50)
    before = (tmp_path / "h").read_bytes()
    with pytest.raises(UserError, match="valid: an SQLite file; move it away"):
        History(tmp_path / "h").append(run(case()))
    assert (tmp_path / "h").read_bytes() == before


def test_history_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = History(tmp_path / "h")
    store.append(run(case()))
    connection = sqlite3.connect(tmp_path / "h")
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(UserError, match=r"format 9 \(valid: 1"):
        store.append(run(case()))


def test_history_keeps_places_apart_and_leaves_drawings_out(tmp_path: Path) -> None:
    store = History(tmp_path / "h")
    assert store.runs("sockit board-7") == []
    store.append(run(case(plots=[Plot(title="p", svg="<svg/>")], evidence={"journal": "x"})))
    store.append(run(case(outcome="failed"), began="2"))
    store.append(run(case(), began="3", host="board-8"))
    store.append(run(case(), began="4", emulated=True))
    assert [found.began for found in store.runs("sockit board-7")] == ["2", "2026-01-01T00:00:00Z"]
    kept = store.runs("sockit board-7", good=True)
    assert [(found.cases[0].plots, found.cases[0].evidence) for found in kept] == [([], {})]
    assert [found.began for found in store.before(run(case(), began="5"))] == ["2026-01-01T00:00:00Z"]


def test_nothing_to_compare_with_is_no_difference() -> None:
    assert compare(run(case()), []) == []


def test_case_that_passed_before_is_a_regression_and_a_new_one_is_none() -> None:
    changes = compare(run(case(outcome="failed", reason="no\nmore"), case("test_new")), [run(case())])
    assert [(change.case, change.worse) for change in changes] == [("test_x", True)]
    assert changes[0].said.startswith("failed, was passed: no")
    assert [change.worse for change in compare(run(case()), [run(case(outcome="skipped"))])] == [False]


@pytest.mark.parametrize(("now", "worse"), [(50.0, [True]), (97.0, []), (150.0, [False])])
def test_figure_is_compared_by_ratio_with_the_noise_of_earlier_runs(now: float, worse: list[bool]) -> None:
    earlier = [speed(value, str(value)) for value in (100.0, 101.0, 99.0, 103.0, 97.0)]
    assert [change.worse for change in compare(speed(now, "now"), earlier)] == worse


def test_few_runs_leave_a_wide_bound() -> None:
    assert history.noise([100.0, 1.0]) == history.UNKNOWN_NOISE
    assert history.noise([100.0] * 8) == history.FLOOR
    assert history.noise([100, 110, 90, 120, 80]) == pytest.approx(0.3)


def test_page_stands_alone_and_escapes_what_a_board_says() -> None:
    bad = case("test_y", "failed", reason="<b>no</b>", evidence={"journal": "<script>x</script>"}, fault="link")
    made = report.page(run(case(plots=[Plot(title="p", svg="<svg id='drawn'/>")]), bad))
    assert "<script>" not in made
    assert "<svg id='drawn'/>" in made
    assert "&lt;b&gt;no&lt;/b&gt;" in made
    assert not re.search(r'(?:src|href)="(?!#)', made)
    assert "at fault: link" in made


def test_report_is_written_and_kept(tmp_path: Path) -> None:
    store = History(tmp_path / "h")
    assert report.write(run(case()), tmp_path / "r" / "acceptance", store) == []
    changes = report.write(run(case(outcome="failed"), began="2"), tmp_path / "r" / "acceptance", store)
    assert [change.worse for change in changes] == [True]
    assert "Against the last good run" in (tmp_path / "r" / "acceptance.html").read_text()
    assert [found.began for found in store.runs("sockit board-7")] == ["2", "2026-01-01T00:00:00Z"]


def test_terminal_shows_what_did_not_pass_and_what_got_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    stem = tmp_path / "build" / "sockit" / "reports" / "acceptance"
    report.write(run(case(), case("test_y")), stem)
    assert report.show("sockit", with_comparison=True)
    assert "no good run before this one" in capsys.readouterr().out
    report.write(run(case(outcome="failed", reason="gone"), case("test_y", "blocked", cause="test_x"), began="2"), stem)
    assert not report.show("sockit", with_comparison=True)
    said = capsys.readouterr().out
    assert "NOT accepted: sockit 1.2: 1 failed, 1 blocked" in said
    assert "✗ test_x: gone" in said
    assert "∅ test_y: blocked by test_x" in said
    assert "WORSE  test_x outcome: failed, was passed" in said
