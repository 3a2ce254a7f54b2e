# SPDX-License-Identifier: MIT
"""Benchmark, measured here and now: what a person waits for, and what a capture costs; `./inv bench [--only NAME]`.

Each figure is measured by doing the thing and goes to `build/reports/bench.json`: name -> value, unit, how it was
measured. Figures that were measured before and not now stay. Seconds are measured once, and machines differ: compare by
ratio, in one run. firmware/bench_cost.py has the figures that are no seconds; those that take long must be named.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware import (
    bench_acceptance,
    bench_boot,
    bench_cost,
    bench_metal,
    bench_service,
    bench_streaming,
    bench_upgrade,
    bench_yocto,
    hot,
    paths,
    recipe,
)
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.errors import ToolError, UserError
from firmware.reach import fresh_emulator, reach
from firmware.recipe import Recipe

REPORT = paths.BUILD / "reports" / "bench.json"


def _timed(command: list[str], **environment: str) -> float:
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603  # argv, no shell
        command, cwd=paths.ROOT, env={**os.environ, **environment}, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise ToolError(command, done.returncode, (done.stdout + done.stderr)[-2000:])
    return time.monotonic() - started


def _inv(*words: str) -> list[str]:
    return [str(paths.ROOT / "inv"), *words]


def cold_build_s(choice: Choice) -> float:
    """./inv build with an empty cache (Debian packages of the host and .venv are there)."""
    with tempfile.TemporaryDirectory(prefix="cold-", dir=paths.cache().parent) as cache:
        return _timed(_inv("build", f"--board={choice.board.name}"), XDG_CACHE_HOME=cache)


def noop_build_s(choice: Choice) -> float:
    """./inv build when nothing has changed."""
    build = _inv("build", f"--board={choice.board.name}")
    _timed(build)
    return _timed(build)


def boot_to_ssh_s(choice: Choice) -> float:
    """Power-on of the emulated board, fresh card, to a command answered over SSH."""
    with tempfile.TemporaryDirectory(prefix="boot-") as folder:
        started = time.monotonic()
        with fresh_emulator(choice, Path(folder)):
            return time.monotonic() - started


@contextmanager
def _changed(name: str, file: str, line: str) -> Iterator[Recipe]:
    """Recipe `name` with `line` added to `file`, in a copy: the user's tree is left alone."""
    with tempfile.TemporaryDirectory(prefix="recipes-") as scratch:
        folder = Path(scratch) / "recipes"
        shutil.copytree(paths.ROOT / "recipes", folder)
        with (folder / name / file).open("a", encoding="utf-8") as stream:
            stream.write(line)
        yield hot.find(name, recipe.load_all(folder))


def _hot(choice: Choice, name: str, file: str, line: str) -> float:
    target = reach(choice).target
    with _changed(name, file, line) as wanted, target:
        started = time.monotonic()
        hot.push(choice.board, target, wanted)
        return time.monotonic() - started


def hot_service_s(choice: Choice) -> float:
    """./inv deploy --only=captured of a changed line, until the running board's service has restarted."""
    return _hot(choice, "captured", "captured/service.py", f"# {time.time_ns()}\n")


def hot_driver_s(choice: Choice) -> float:
    """./inv deploy --only=capture-ring of a changed line, until the new module is bound on the running board."""
    return _hot(choice, "capture-ring", hot.DRIVER_MAIN, f"/* {time.time_ns()} */\n")


def fast_checks_s(_choice: Choice) -> float:
    """pytest -m 'unit or golden' (linters included)."""
    return _timed([sys.executable, "-m", "pytest", "-q", "-m", "unit or golden"])


def _seconds(function: Callable[[Choice], float], metal: bool = False) -> Group:
    """A group of one figure, in seconds, explained by the function's docstring."""
    name, how = function.__name__, (function.__doc__ or "").strip()
    return Group({name: Figure("s", how)}, lambda choice: {name: function(choice)}, metal=metal)


GROUPS = (
    *map(_seconds, (noop_build_s, fast_checks_s, boot_to_ssh_s)),
    *(_seconds(function, metal=True) for function in (hot_service_s, hot_driver_s)),
    _seconds(cold_build_s),
    *bench_acceptance.GROUPS,
    *bench_boot.GROUPS,
    *bench_metal.GROUPS,
    *bench_cost.GROUPS,
    *bench_service.GROUPS,
    *bench_streaming.GROUPS,
    *bench_upgrade.GROUPS,
    *bench_yocto.GROUPS,
)


def chosen(only: str | None, choice: Choice) -> list[Group]:
    """The groups to measure. Raises UserError: no figure `only`, or none that a real board can give."""
    groups = [group for group in GROUPS if group.metal or not choice.host]
    if only is None:
        return [group for group in groups if choice.host or not group.long]
    if found := [group for group in groups if only in group.figures]:
        return found
    names = ", ".join(name for group in groups for name in group.figures)
    if any(only in group.figures for group in GROUPS):
        raise UserError(f"--only: {only} is of the emulator or this computer alone (valid: {names})")
    raise UserError(f"--only: no figure {only!r} (valid: {names})")


def run(choice: Choice, only: str | None = None) -> None:
    """Measure all figures but the long ones, or the group of the one named `only`; print and record them.

    Then the table and the plot are made anew (`firmware/bench_report.py`).
    """
    from firmware import bench_report  # matplotlib is slow to import

    for group in chosen(only, choice):
        for name, value in group.measure(choice).items():
            record(name, value, group.figures[name])
    bench_report.write(REPORT)
    print(f"table: {REPORT.with_suffix('.md')}")


def record(name: str, value: float, figure: Figure, quiet: bool = False) -> None:
    """Print a figure, unless `quiet`, and put it into the report beside those that are there."""
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    known[name] = {"value": round(value, 2), "unit": figure.unit, "how": figure.how}
    if not quiet:
        print(f"{name:28} {value:14.2f} {figure.unit:18} {figure.how}", flush=True)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
