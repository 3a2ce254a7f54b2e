# SPDX-License-Identifier: MIT
"""Self-test of the acceptance suite: faults put into a board on purpose, and what the suite said of each.

A fault is caught when exactly the cases failed that it should fail, and whatever was blocked was blocked by one of
them. A fault that should fail nothing is a control: what a board must survive. `tests/emulated/acceptance_faults.py`
has the faults, `self-test.json` beside the acceptance report keeps the table, and the report shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from firmware.board import Strict
from firmware.errors import UserError
from firmware.verdict import Verdict

NAME = "self-test.json"


class Row(Strict):
    """One fault: which cases should have failed, which did, how many were blocked, and by whom."""

    fault: str
    wanted: list[str]
    failed: list[str]
    blocked: dict[str, str] = {}
    passed: int
    seconds: float

    @property
    def caught(self) -> bool:
        """Whether the right cases failed, nothing else did, and only their dependants were blocked."""
        astray = [case for case, cause in self.blocked.items() if cause not in self.wanted]
        return sorted(self.failed) == sorted(self.wanted) and not astray and self.passed > 0

    def line(self) -> str:
        """One line for a person."""
        said = ", ".join(self.failed) or "nothing failed"
        wrong = "" if self.caught else f" (valid: {', '.join(self.wanted) or 'nothing fails'})"
        return f"{'caught' if self.caught else 'MISSED'}: {self.fault}: {said}, {len(self.blocked)} blocked{wrong}"


class SelfTest(Strict):
    """A whole self-test: which tree, when (ISO 8601, UTC), and a row for each fault."""

    format: Literal[1] = 1
    board: str
    tree: str
    began: str
    rows: list[Row] = []

    def text(self) -> str:
        """The table as a JSON file."""
        return json.dumps(self.model_dump(), indent=1) + "\n"

    def add(self, row: Row) -> None:
        """Keep the row, in place of an earlier one of the same fault."""
        self.rows[:] = [*(other for other in self.rows if other.fault != row.fault), row]

    def holds(self, faults: Iterable[str]) -> bool:
        """Whether each of the faults has its row."""
        return {row.fault for row in self.rows} >= set(faults)

    def save(self, folder: Path) -> None:
        """Write the table into `folder`, which need not be there."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NAME).write_text(self.text(), encoding="utf-8")


def begin(folder: Path, board: str, tree: str, began: str) -> SelfTest:
    """The table of `folder`, if it is one of the same board and tree, so that a self-test may be made in parts."""
    found = load(folder)
    same = found is not None and (found.board, found.tree) == (board, tree)
    return found if found and same else SelfTest(board=board, tree=tree, began=began)


def row(fault: str, wanted: tuple[str, ...], verdict: Verdict) -> Row:
    """What the suite's `verdict` says of a board with the fault."""
    return Row(
        fault=fault,
        wanted=list(wanted),
        failed=[case.name for case in verdict.cases if case.outcome == "failed"],
        blocked={case.name: case.cause for case in verdict.cases if case.outcome == "blocked"},
        passed=verdict.count("passed"),
        seconds=verdict.seconds,
    )


def load(folder: Path) -> SelfTest | None:
    """The last self-test whose table is in `folder`, or None. Raises UserError: it is not one of ours."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return SelfTest.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"])) or "the file"
        raise UserError(f"{path}: {place}: {found['msg']} (valid: what tests/emulated writes; or remove it)") from error
