# SPDX-License-Identifier: MIT
"""A run of the suite: turns pytest's reports of the cases into the verdict, and gathers evidence when one failed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware import evidence, report
from firmware.history import History
from firmware.ssh import Unreachable
from firmware.verdict import Case, Fault, Identity, Outcome, Verdict
from tests.acceptance import causes
from tests.acceptance.causes import Causes
from tests.acceptance.under_test import UnderTest


class Run:
    """Cases as they end. A case has three phases for pytest; what counts is the first of them that did not pass."""

    def __init__(self, selection: str) -> None:
        """Begin now; `selection` is the -k expression."""
        self.causes = Causes()
        self.cases: dict[str, Case] = {}
        self._selection = selection
        self._began, self._clock = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
        self._board: UnderTest | None = None
        self._identity: Identity | None = None
        self._boot_id = ""
        self._console_from = 0

    def identify(self, board: UnderTest) -> None:
        """Keep what is tested, and where."""
        manifest = board.manifest
        self._identity = Identity(
            board=manifest.board,
            engine=manifest.engine,
            version=manifest.version,
            tree=manifest.tree,
            image_sha256=manifest.files["image"].sha256,
            rootfs_sha256=manifest.rootfs.sha256,
            kernel=manifest.kernel,
            u_boot=manifest.u_boot,
            host=board.target.alias or board.target.name,
            emulated=board.emulated,
        )

    def begin(self, board: UnderTest) -> None:
        """A case begins on `board`: what holds now tells later whether the board or the way to it failed."""
        self._board = board
        self._console_from = board.console.stat().st_size if board.console and board.console.exists() else 0
        if not self.causes.lost:
            self._boot_id = board.target.boot_id()

    def take(self, item: pytest.Item, call: pytest.CallInfo[None], said: pytest.TestReport) -> None:
        """One phase of a case has ended."""
        name = item.name
        before = self.cases.get(name)
        if before and (before.outcome != "passed" or said.passed):
            seconds = round(before.seconds + said.duration, 3)
            self.cases[name] = before.model_copy(update={"seconds": seconds} | self._recorded(item))
            return
        if said.passed and said.when == "setup":
            self.cases[name] = self._case(item, "passed", said.duration)
        elif said.skipped:
            self._skipped(item, said)
        elif said.failed:
            self._failed(item, call, said)

    def finish(self, stem: Path, history: History | None = None) -> None:
        """Write verdict and page; the run goes to the `history`, by default to the user's."""
        if self._identity is None:
            return
        verdict = Verdict(
            identity=self._identity,
            selection=self._selection,
            began=self._began,
            seconds=round(time.monotonic() - self._clock, 1),
            cases=list(self.cases.values()),
        )
        report.write(verdict, stem, history)

    def _case(self, item: pytest.Item, outcome: Outcome, seconds: float, reason: str = "", cause: str = "") -> Case:
        mark = item.get_closest_marker("promise")
        title = item.name.removeprefix("test_").replace("_", " ")
        return Case(
            name=item.name,
            promise=mark.args[0] if mark else "other",
            title=title,
            outcome=outcome,
            seconds=round(seconds, 3),
            reason=reason,
            cause=cause,
        )

    def _recorded(self, item: pytest.Item) -> dict[str, object]:
        unit = getattr(item, "funcargs", {}).get("unit")
        if not isinstance(unit, UnderTest):
            return {}
        kept = unit.recorder
        return {"steps": kept.steps, "measures": kept.measures, "plots": kept.plots}

    def _skipped(self, item: pytest.Item, said: pytest.TestReport) -> None:
        why = said.longrepr[2] if isinstance(said.longrepr, tuple) else str(said.longrepr)
        reason = why.removeprefix("Skipped: ")
        cause = reason.removeprefix(causes.MARK) if reason.startswith(causes.MARK) else ""
        if cause:
            self.causes.blocked(item.name, cause)
        outcome: Outcome = "blocked" if cause else "skipped"
        self.cases[item.name] = self._case(item, outcome, said.duration, "" if cause else reason, cause)

    def _failed(self, item: pytest.Item, call: pytest.CallInfo[None], said: pytest.TestReport) -> None:
        error = call.excinfo.value if call.excinfo else AssertionError(said.longreprtext)
        whose, why, seen = self._examine(error)
        self.causes.failed(item.name, lost=isinstance(error, Unreachable))
        reason = "\n".join(filter(None, [str(error).strip() or type(error).__name__, why and f"({why})"]))
        earlier = self.cases.get(item.name)
        seconds = said.duration + (earlier.seconds if earlier else 0.0)
        case = self._case(item, "failed", seconds, reason)
        found = {"fault": whose, "evidence": seen | {"test": said.longreprtext[-evidence.LIMIT :]}}
        self.cases[item.name] = case.model_copy(update=found | self._recorded(item))

    def _examine(self, error: BaseException) -> tuple[Fault, str, dict[str, str]]:
        board = self._board
        if board is None:
            return ("board" if isinstance(error, AssertionError) else "suite"), "", {}
        since = ""
        if board.console and board.console.exists():
            since = board.console.read_bytes()[self._console_from :].decode(errors="replace")
        whose, why = evidence.fault(error, board.target, self._boot_id, since)
        return whose, why, evidence.gather(board.target, board.console)
