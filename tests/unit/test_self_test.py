# SPDX-License-Identifier: MIT
"""The self-test's table: a fault is caught by the right cases only, and whatever else happened is no catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import report, self_test
from firmware.errors import UserError
from firmware.self_test import SelfTest
from firmware.verdict import Outcome
from tests.emulated.acceptance_faults import FAULTS
from tests.unit.test_verdict import case, run

pytestmark = pytest.mark.unit


def row(wanted: tuple[str, ...], **outcomes: Outcome) -> self_test.Row:
    """The row of a run with these outcomes; what is blocked is blocked by `a`."""
    cases = [case(name, outcome, cause="a" if outcome == "blocked" else "") for name, outcome in outcomes.items()]
    return self_test.row("service stopped", wanted, run(*cases))


def test_right_case_and_its_dependants_are_a_catch() -> None:
    found = row(("a",), a="failed", b="blocked", c="passed")
    assert found.caught
    assert found.line() == "caught: service stopped: a, 1 blocked"


@pytest.mark.parametrize(
    ("wanted", "outcomes"),
    [
        (("a",), {"a": "passed", "c": "passed"}),
        (("a",), {"a": "failed", "b": "failed", "c": "passed"}),
        (("c",), {"c": "failed", "b": "blocked", "d": "passed"}),
        (("a",), {"a": "skipped", "c": "passed"}),
        (("a",), {"a": "failed"}),
        ((), {"a": "failed", "c": "passed"}),
        ((), {}),
    ],
    ids=["passed", "one too many", "blocked by another", "skipped", "nothing passes any more", "control", "no case"],
)
def test_everything_else_is_a_miss(wanted: tuple[str, ...], outcomes: dict[str, Outcome]) -> None:
    found = row(wanted, **outcomes)
    assert not found.caught
    assert found.line().startswith("MISSED: service stopped: ")


def test_control_passes_when_nothing_fails() -> None:
    assert row((), c="passed").caught


def test_table_is_kept_and_shown(tmp_path: Path) -> None:
    assert self_test.load(tmp_path) is None
    table = SelfTest(board="sockit", tree="abc", began="2026-01-01", rows=[row(("a",), a="failed", c="passed")])
    (tmp_path / self_test.NAME).write_text(table.text())
    assert self_test.load(tmp_path) == table
    page = report.page(run(case("c")), self_test=table)
    assert "1 of 1 faults caught" in page
    assert "service stopped" in page


def test_table_goes_on_in_the_same_tree_only(tmp_path: Path) -> None:
    table = SelfTest(board="sockit", tree="abc", began="2026-01-01")
    table.add(row(("a",), a="passed", c="passed"))
    table.add(row(("a",), a="failed", c="passed"))
    assert [found.caught for found in table.rows] == [True], "the later run counts"
    table.save(tmp_path / "new")
    assert self_test.begin(tmp_path / "new", "sockit", "abc", "2026-01-02") == table
    assert self_test.begin(tmp_path / "new", "sockit", "def", "2026-01-02").rows == []
    assert self_test.begin(tmp_path / "new", "de10-nano", "abc", "2026-01-02").rows == []
    assert table.holds(["service stopped"])
    assert not table.holds(["service stopped", "data full"])


def test_table_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / self_test.NAME).write_text('{"rows": 1}')
    with pytest.raises(UserError, match=r"self-test.json: board: .*\(valid: what tests/emulated writes"):
        self_test.load(tmp_path)


def test_faults_are_many_and_name_cases_that_exist() -> None:
    suite = "".join(path.read_text() for path in Path("tests/acceptance").glob("test_*.py"))
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert sum(bool(fault.fails) for fault in FAULTS) >= 25
    for fault in FAULTS:
        for name in fault.fails:
            assert f"def {name.partition('[')[0]}(" in suite, name
