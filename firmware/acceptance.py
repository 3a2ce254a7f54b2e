# SPDX-License-Identifier: MIT
"""Acceptance: the suite `tests/acceptance` against a board, emulated or metal, and its reports.

`run` starts pytest in a process of its own, so that its verdict is the same as that of `pytest tests/acceptance`.
Reports go to `build/<board>/reports/`: `acceptance.xml` (JUnit), `acceptance.json` (the verdict) and `acceptance.html`
(one self-contained page); the run is kept in the history (`firmware/history.py`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware import manifest, paths
from firmware.choice import Choice, Host
from firmware.errors import TargetError, UserError
from firmware.reach import reach

# pytest's exit statuses (pytest documentation, "Exit codes")
_TESTS_FAILED = 1
_NO_TESTS = 5


def reports(board: str) -> Path:
    """Folder of the reports of `board`."""
    return paths.BUILD / board / "reports"


def plan(
    board: str, engine: str, host: Host | None, only: str = "", name: str = "acceptance", quick: bool = False
) -> list[str]:
    """Command line of the suite; `only` is a pytest -k expression, `quick` leaves the long cases out."""
    folder = reports(board)
    command = [sys.executable, "-m", "pytest", str(paths.ROOT / "tests" / "acceptance"), "--attached"]
    command += [f"--board={board}", f"--engine={engine}"]
    if host:
        command.append(f"--host={host.user}@{host.name}:{host.port}")
    if only:
        command += ["-k", only]
    if quick:
        command += ["-m", "not full"]
    command += [f"--junitxml={folder / f'{name}.xml'}", f"--report={folder / name}"]
    return command


def run(choice: Choice, only: str = "", name: str = "acceptance", quick: bool = False) -> None:
    """Run the suite. Raises TargetError when a test fails, UserError when `only` selects none.

    An image that is not built and a board that does not answer are said before an earlier report is replaced.
    """
    manifest.load_built(choice.board.name, choice.engine)
    with reach(choice).target:
        reports(choice.board.name).mkdir(parents=True, exist_ok=True)
    status = _pytest(plan(choice.board.name, choice.engine, choice.host, only, name, quick))
    report = reports(choice.board.name) / f"{name}.html"
    if status == _NO_TESTS:
        raise UserError(f"--only: {only!r} selects no test (valid: a part of a test's name, see tests/acceptance)")
    if status:
        where = choice.host.name if choice.host else "emulated board"
        said = "acceptance failed" if status == _TESTS_FAILED else f"acceptance broke off (pytest status {status})"
        raise TargetError(where, f"{said}; report: {report}")
    print(f"report: {report}")


def _pytest(command: Sequence[str]) -> int:
    return subprocess.run(command, cwd=paths.ROOT, check=False).returncode  # noqa: S603  # argv, no shell
