# SPDX-License-Identifier: MIT
"""The verdict: what an acceptance run found, as values; `acceptance.json` is its text.

A case passed, failed, was skipped (it says which promise or tool is missing) or is blocked: a case that it needs failed
or the board no longer answers, and `cause` names the first one. Where a failure's origin is not the board, `fault` says
so: `link` (the way to the board broke), `suite` (the test itself broke). Times are seconds; `began` is ISO 8601, UTC.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from firmware.board import Strict
from firmware.errors import UserError

Outcome = Literal["passed", "failed", "skipped", "blocked"]
Fault = Literal["", "board", "link", "suite"]


class Step(Strict):
    """Something that a case did: `at` is seconds since the case began."""

    name: str
    at: float
    seconds: float
    failed: bool = False
    steps: list[Step] = []


class Measure(Strict):
    """A figure that a case measured; `better` is the direction that an engineer wants."""

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower", "neither"] = "neither"


class Plot(Strict):
    """A drawing, as SVG."""

    title: str
    svg: str


class Case(Strict):
    """One case. `evidence` is what the board said when it failed: name -> text."""

    name: str
    promise: str
    title: str
    outcome: Outcome
    seconds: float
    reason: str = ""
    cause: str = ""
    fault: Fault = ""
    steps: list[Step] = []
    measures: list[Measure] = []
    plots: list[Plot] = []
    evidence: dict[str, str] = {}


class Identity(Strict):
    """What was tested: the image, the board that ran it, and where."""

    board: str
    engine: str
    version: str
    tree: str
    image_sha256: str
    rootfs_sha256: str
    kernel: str
    u_boot: str
    host: str
    emulated: bool


class Verdict(Strict):
    """A whole run."""

    format: Literal[1] = 1
    identity: Identity
    selection: str
    began: str
    seconds: float
    cases: list[Case]

    def count(self, outcome: Outcome) -> int:
        """How many cases ended so."""
        return sum(case.outcome == outcome for case in self.cases)

    @property
    def good(self) -> bool:
        """Whether the board does what was tested: nothing failed, nothing is blocked, something passed."""
        return self.count("passed") > 0 and self.count("failed") == self.count("blocked") == 0

    @property
    def first_cause(self) -> Case | None:
        """The first case that failed: what to look at."""
        return next((case for case in self.cases if case.outcome == "failed"), None)

    def measures(self) -> dict[tuple[str, str], Measure]:
        """Every figure, by case and name."""
        return {(case.name, measure.name): measure for case in self.cases for measure in case.measures}

    def line(self) -> str:
        """One line for a person."""
        counts = ", ".join(
            f"{n} {name}" for name in ("passed", "failed", "blocked", "skipped") if (n := self.count(name))
        )
        head = "accepted" if self.good else "NOT accepted"
        return f"{head}: {self.identity.board} {self.identity.version}: {counts or 'no case ran'}, {self.seconds:.0f} s"

    def text(self) -> str:
        """The verdict as a JSON file."""
        return json.dumps(self.model_dump(), indent=1) + "\n"


def load(path: Path) -> Verdict:
    """The verdict in the file `path`. Raises UserError: none there, or not one of ours."""
    if not path.is_file():
        raise UserError(f"no verdict {path} (valid: run ./inv test first)")
    return parse(path.read_text(encoding="utf-8"), str(path))


def parse(text: str, where: str) -> Verdict:
    """The verdict in `text`, which came from `where`. Raises UserError."""
    try:
        return Verdict.model_validate_json(text)
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"])) or "the file"
        raise UserError(f"{where}: {place}: {found['msg']} (valid: what ./inv test writes)") from error
