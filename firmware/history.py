# SPDX-License-Identifier: MIT
"""The history: every acceptance verdict of this user, in an SQLite file, to compare a run with good ones before it.

`<user data>/acceptance.sqlite`, one row a run, the verdict itself as JSON without drawings and evidence. Runs are
compared on one kind of place only: the same board, emulated, or the same host. A figure is worse when its ratio to the
last good run's lies outside the noise: the spread of up to `RUNS` good runs, at least `FLOOR`. With fewer than `ENOUGH`
good runs the noise is not known and `UNKNOWN_NOISE` holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from firmware import paths
from firmware.errors import UserError
from firmware.verdict import Case, Measure, Verdict, parse

RUNS = 20
ENOUGH = 4
FLOOR = 0.05
UNKNOWN_NOISE = 0.3
SPREADS = 3.0  # noise is so many times the median deviation from the median
_VERSION = 1
_TABLE = """CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, began TEXT NOT NULL, place TEXT NOT NULL, version TEXT NOT NULL, tree TEXT NOT NULL,
    selection TEXT NOT NULL, good INTEGER NOT NULL, verdict TEXT NOT NULL)"""


@dataclass(frozen=True)
class Change:
    """One difference to the last good run; `ratio` is now / then, `noise` what it may differ by without meaning."""

    case: str
    name: str
    said: str
    worse: bool
    ratio: float | None = None
    noise: float | None = None


def place(verdict: Verdict) -> str:
    """Where runs are comparable: the same board, emulated or the same host."""
    identity = verdict.identity
    return f"{identity.board} {'emulated' if identity.emulated else identity.host}"


class History:
    """The store; made when it is first written."""

    def __init__(self, path: Path | None = None) -> None:
        """`path` is the SQLite file."""
        self._path = path or paths.data() / "acceptance.sqlite"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, _VERSION):
                    raise UserError(f"{self._path}: format {version} (valid: {_VERSION}; a newer version wrote it)")
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                yield connection
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self._path}: {error} (valid: an SQLite file; move it away to begin a new one)"
            ) from error

    def append(self, verdict: Verdict) -> None:
        """Keep a run."""
        lean = verdict.model_copy(
            update={"cases": [case.model_copy(update={"plots": [], "evidence": {}}) for case in verdict.cases]}
        )
        row = (verdict.began, place(verdict), verdict.identity.version, verdict.identity.tree, verdict.selection)
        with self._open() as connection:
            connection.execute(
                "INSERT INTO run (began, place, version, tree, selection, good, verdict) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, verdict.good, lean.text()),
            )

    def runs(self, where: str, good: bool | None = None, count: int = RUNS) -> list[Verdict]:
        """The last `count` runs at a place, newest first."""
        if not self._path.exists():
            return []
        with self._open() as connection:
            wanted = (where, None if good is None else int(good), count)
            rows = connection.execute(
                "SELECT verdict FROM run WHERE place = ?1 AND (?2 IS NULL OR good = ?2) ORDER BY id DESC LIMIT ?3",
                wanted,
            ).fetchall()
        return [parse(text, str(self._path)) for (text,) in rows]

    def before(self, verdict: Verdict) -> list[Verdict]:
        """Good runs at the verdict's place other than itself, newest first."""
        return [run for run in self.runs(place(verdict), good=True, count=RUNS + 1) if run.began != verdict.began][
            :RUNS
        ]


def compare(verdict: Verdict, earlier: Sequence[Verdict]) -> list[Change]:
    """What is different from the newest of `earlier` (good runs, newest first); empty: nothing that means anything.

    A case that an earlier run had and this one did not select is no difference.
    """
    if not earlier:
        return []
    then = {case.name: case for case in earlier[0].cases}
    found = [change for case in verdict.cases if (change := _case(case, then.get(case.name)))]
    known = earlier[0].measures()
    for key, now in verdict.measures().items():
        if now.better != "neither" and (last := known.get(key)) and last.value:
            values = [run.measures()[key].value for run in earlier if key in run.measures()]
            found += _measure(key[0], now, last, noise(values))
    return found


def noise(values: Sequence[float]) -> float:
    """How far a ratio of two such values may be from 1 without meaning."""
    if len(values) < ENOUGH or not (middle := median(values)):
        return UNKNOWN_NOISE
    return max(FLOOR, SPREADS * median(abs(value - middle) for value in values) / abs(middle))


def _case(now: Case, then: Case | None) -> Change | None:
    if then is None or now.outcome == then.outcome:
        return None
    worse = now.outcome in ("failed", "blocked") or then.outcome == "passed"
    why = f": {now.reason}" if now.reason else ""
    return Change(now.name, "outcome", f"{now.outcome}, was {then.outcome}{why}", worse)


def _measure(case: str, now: Measure, then: Measure, bound: float) -> list[Change]:
    ratio = now.value / then.value
    if 1 / (1 + bound) <= ratio <= 1 + bound:
        return []
    worse = (ratio > 1) == (now.better == "lower")
    said = f"{now.value:g} {now.unit}, was {then.value:g}: x {ratio:.2f} (noise x {1 + bound:.2f})"
    return [Change(case, now.name, said, worse, ratio, bound)]
