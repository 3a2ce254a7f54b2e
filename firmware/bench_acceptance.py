# SPDX-License-Identifier: MIT
"""Figures of `./inv bench` about the acceptance suite: how long it takes on an emulated board, from power-on.

Each run is from a cold start: a fresh card, the board switched on, the tier, off. A run that fails gives no figure.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from firmware import manifest, paths
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.errors import ToolError


def plan(board: str, engine: str, stem: Path, quick: bool) -> list[str]:
    """The suite against a board of its own, put on by the suite; its verdict goes to `stem`.json."""
    suite = str(paths.ROOT / "tests" / "acceptance")
    tier = ["-m", "not full"] if quick else []
    return [sys.executable, "-m", "pytest", "-q", suite, *tier, f"--board={board}", f"--engine={engine}",
            f"--report={stem}"]  # fmt: skip


def _seconds(choice: Choice, quick: bool) -> float:
    """Seconds from power-on to the verdict. Raises ToolError: a case failed."""
    manifest.load_built(choice.board.name, choice.engine)
    with tempfile.TemporaryDirectory(prefix="accept-") as folder:
        command = plan(choice.board.name, choice.engine, Path(folder) / "said", quick)
        started = time.monotonic()
        done = subprocess.run(  # noqa: S603  # argv, no shell
            command, cwd=paths.ROOT, check=False, capture_output=True, text=True
        )
        taken = time.monotonic() - started
    if done.returncode:
        raise ToolError(command, done.returncode, (done.stdout + done.stderr)[-4000:])
    return taken


def quick(choice: Choice) -> dict[str, float]:
    """The quick tier."""
    return {"accept_quick_s": _seconds(choice, quick=True)}


def full(choice: Choice) -> dict[str, float]:
    """Everything."""
    return {"accept_full_s": _seconds(choice, quick=False)}


GROUPS = (
    Group(
        {"accept_quick_s": Figure("s", "./inv test --quick, on an emulated board from power-on on")}, quick, long=True
    ),
    Group({"accept_full_s": Figure("s", "./inv test, on an emulated board from power-on on")}, full, long=True),
)
