# SPDX-License-Identifier: MIT
"""Acceptance: the suite `tests/acceptance` against a board, emulated or metal, and its reports.

`run` starts pytest in a process of its own, so that its verdict is the same as that of `pytest tests/acceptance`.
Reports go to `build/<board>/reports/`: `acceptance.xml` (JUnit), `acceptance.json` (the verdict) and `acceptance.html`
(one self-contained page); the run is kept in the history (`firmware/history.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from firmware import manifest, paths, tool
from firmware.choice import Choice, Host
from firmware.errors import TargetError, UserError
from firmware.reach import BOOT_SECONDS, reach

# pytest's exit statuses (pytest documentation, "Exit codes")
_TESTS_FAILED = 1
_NO_TESTS = 5


def reports(board: str) -> Path:
    """Folder of the reports of `board`."""
    return paths.BUILD / board / "reports"


def plan(
    board: str,
    engine: str,
    host: Host | None,
    only: str = "",
    name: str = "acceptance",
    quick: bool = False,
    gib: int = 1,
) -> list[str]:
    """Command line of the suite; `only` is a pytest -k expression, `quick` leaves the long cases out.

    `gib` is the size of the long capture. Raises UserError: not positive.
    """
    if gib < 1:
        raise UserError(f"--gib: {gib} (valid: 1 or more)")
    folder = reports(board)
    command = [sys.executable, "-m", "pytest", str(paths.ROOT / "tests" / "acceptance"), "--attached"]
    command += [f"--board={board}", f"--engine={engine}"]
    if host:
        command.append(f"--host={host}")
    if only:
        command += ["-k", only]
    if quick:
        command += ["-m", "not full"]
    if gib > 1:
        command.append(f"--mib={gib * 1024}")
    command += [f"--junitxml={folder / f'{name}.xml'}", f"--report={folder / name}"]
    return command


def run(
    choice: Choice, only: str = "", name: str = "acceptance", quick: bool = False, gib: int = 1, lab: str = ""
) -> None:
    """Run the suite, on a cold start where `lab` names a labgrid environment. Raises TargetError: a test failed.

    Raises UserError when `only` selects none. An image that is not built and a board that does not answer are said
    before an earlier report is replaced.
    """
    if lab and choice.host is None:
        raise UserError("--lg-env: a lab has real boards (valid: with --host, where the board is then reached)")
    command = plan(choice.board.name, choice.engine, choice.host, only, name, quick, gib)
    manifest.load_built(choice.board.name, choice.engine)
    folder = reports(choice.board.name)
    with _started(lab, folder / "console.log") as console, reach(choice).target as target:
        if lab:
            target.wait_for_reboot("", BOOT_SECONDS)
        folder.mkdir(parents=True, exist_ok=True)
        status = _pytest([*command, f"--console={console}"] if console else command)
    report = folder / f"{name}.html"
    if status == _NO_TESTS:
        raise UserError(f"--only: {only!r} selects no test (valid: a part of a test's name, see tests/acceptance)")
    if status:
        where = choice.host.name if choice.host else "emulated board"
        said = "acceptance failed" if status == _TESTS_FAILED else f"acceptance broke off (pytest status {status})"
        raise TargetError(where, f"{said}; report: {report}")
    print(f"report: {report}")


@contextmanager
def _started(environment: str, log: Path) -> Iterator[Path | None]:
    if not environment:
        yield None
        return
    from firmware.lab import Lab  # labgrid is slow to import, and few need it

    with Lab(Path(environment)).cold_start(log) as console:
        yield console


def _pytest(command: Sequence[str]) -> int:
    return tool.attended(command, cwd=paths.ROOT)
