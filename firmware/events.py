# SPDX-License-Identifier: MIT
"""BitBake's event log, read while BitBake writes it: how far the build is, what is slow, what failed and why.

`bitbake -w FILE` appends one JSON object a line, `{"class": ..., "vars": <pickle, base64>}`. The pickles are taken
apart without BitBake's classes: whatever they name becomes a `Plain` object with the same attributes, and nothing in
them is ever called. `Reader` follows the file, `State` is fed with its events.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TELLING = re.compile(
    r"\berror\b|\bERROR|[Uu]ndefined reference|No such file|not found|No rule to make|Permission denied|Fetcher failure"
)
SHOWN_LINES = 20
SETSCENE = "_setscene"


class Plain:
    """Stands for an object of a class that is not there: attributes only."""

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        """Take anything."""

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes."""
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                self.__dict__.update(part)

    def append(self, _item: Any) -> None:
        """Of a list that is not there."""

    def __setitem__(self, _key: Any, _value: Any) -> None:
        """Of a mapping that is not there."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return type(name, (Plain,), {"__module__": module})


@dataclass(frozen=True)
class Event:
    """One event: the last part of its class's name, and its attributes."""

    name: str
    values: dict[str, Any]


def decode(line: str) -> Event | None:
    """The event of a line of the log; None for a line that holds none, or that is not whole yet."""
    try:
        content = json.loads(line)
        found = _Unpickler(io.BytesIO(base64.b64decode(content["vars"]))).load()
    except (ValueError, KeyError, TypeError, EOFError, AttributeError, pickle.UnpicklingError):
        return None
    return Event(content["class"].rpartition(".")[2], dict(vars(found))) if isinstance(found, Plain) else None


class Reader:
    """Follows a log that another program appends to."""

    def __init__(self, log: Path) -> None:
        """The log need not be there yet."""
        self._log, self._place, self._rest = log, 0, ""

    def events(self) -> Iterator[Event]:
        """The events that were added since the last call."""
        if not self._log.is_file():
            return
        with self._log.open(encoding="utf-8", errors="replace") as stream:
            stream.seek(self._place)
            text = self._rest + stream.read()
            self._place = stream.tell()
        *lines, self._rest = text.split("\n")
        for line in lines:
            event = decode(line)
            if event is not None:
                yield event


@dataclass(frozen=True)
class Failure:
    """A task that failed, with its log."""

    recipe: str
    task: str
    log: Path | None

    def text(self) -> str:
        """Recipe, task, and the lines of its log that matter."""
        lines = telling_lines(self.log) if self.log and self.log.is_file() else []
        return "\n".join(
            [f"{self.recipe}: {self.task} failed", *(f"    {line}" for line in lines), f"whole log: {self.log}"]
        )


def telling_lines(log: Path, most: int = SHOWN_LINES) -> list[str]:
    """Of a task's log: lines that speak of an error, with the line before each; else its last lines."""
    lines = [line.rstrip() for line in log.read_text(errors="replace").splitlines()]
    noise = ("DEBUG:", "NOTE:", "WARNING: exit code", "ERROR: ExecutionError", "ERROR: Logfile")
    # why upstream did not give a source is only a note; the error that follows is the last mirror's
    lines = [line.removeprefix("DEBUG: ") if line.startswith("DEBUG: Fetcher failure") else line for line in lines]
    kept = [line for line in lines if line and not line.startswith(noise) and " exit code " not in line]
    chosen = {near for n, line in enumerate(kept) if TELLING.search(line) for near in (n - 1, n) if near >= 0}
    if not chosen:
        return kept[-most:]
    return [kept[n] for n in sorted(chosen)][:most]


def _full(values: dict[str, Any]) -> str:
    """What BitBake's monitor of the disk says: it stops a build before a file is cut off."""
    free = int(values.get("_free", 0))
    left = f"{free / (1 << 20):.0f} MiB" if values.get("_type") == "disk" else f"{free} inodes"
    return (
        f"no room: {left} left at {values.get('_mountpoint')} (valid: more than BB_DISKMON_DIRS in "
        "layers/kas/engine.yml says; free some and build again, it goes on from here)"
    )


@dataclass
class State:
    """What is known of a build; feed it with `take`."""

    total: int = 0
    done: int = 0
    setscene: int = 0
    reused: int = 0
    executed: int = 0
    parsing: tuple[int, int] | None = None
    running: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    _first: float | None = None
    _first_done: int = 0

    def take(self, event: Event) -> None:
        """Take an event into account."""
        values = event.values
        if event.name in ("TaskStarted", "TaskSucceeded", "TaskFailed", "TaskFailedSilent"):
            self._task(event.name, values)
        elif event.name == "ParseProgress":
            self.parsing = (int(values.get("current", 0)), int(values.get("total", 0)))
        elif event.name in ("ParseCompleted", "CacheLoadCompleted"):
            self.parsing = None
        elif event.name == "NoProvider":
            runtime = "R" if values.get("_runtime") else ""
            needed = ", ".join(Path(str(one)).name for one in values.get("_dependees") or ())
            self.problems.append(
                f"nothing {runtime}PROVIDES {values.get('_item')!r}" + (f", needed by {needed}" if needed else "")
            )
        elif event.name == "DiskFull":
            self.full.append(_full(values))
        elif event.name == "LogRecord" and int(values.get("levelno", 0)) >= 40:
            self.problems.append(str(values.get("msg", "")).strip())
        if stats := getattr(values.get("stats"), "__dict__", None):
            self.total, self.setscene = int(stats["total"]), int(stats["setscene_total"])
            self.reused = int(stats["setscene_covered"])
            self.done = int(stats["completed"]) + int(stats["skipped"])

    def _task(self, name: str, values: dict[str, Any]) -> None:
        recipe, task, moment = str(values["pn"]), str(values["_task"]), float(values["time"])
        key = f"{recipe}:{task.removeprefix('do_')}"
        if name == "TaskStarted":
            self.running[key] = moment
            if self._first is None:
                self._first, self._first_done = moment, self.done
            return
        took = moment - self.running.pop(key, moment)
        self.seconds[recipe] = self.seconds.get(recipe, 0.0) + took
        if name == "TaskSucceeded":
            self.executed += 1
        elif not task.endswith(SETSCENE):  # the real task runs instead of such a one
            log = values.get("logfile")
            self.failures.append(Failure(recipe, task, Path(str(log)) if log else None))

    def left(self, now: float) -> float | None:
        """Estimated seconds to go, from the pace so far; None while that says nothing."""
        finished = self.done - self._first_done
        if self._first is None or finished < 10 or not self.total:
            return None
        return (now - self._first) / finished * (self.total - self.done)

    def line(self, now: float) -> str:
        """One line: tasks, reuse, estimate, what runs."""
        if self.parsing:
            return f"parsing recipes, {self.parsing[0]} of {self.parsing[1]}"
        if not self.total:
            return "setting up"
        parts = [f"{self.done} of {self.total} tasks"]
        if self.setscene:
            parts.append(f"{self.reused} of {self.setscene} taken from sstate")
        left = self.left(now)
        if left is not None:
            parts.append(f"about {int(left) // 60}:{int(left) % 60:02d} left")
        longest = sorted(self.running, key=lambda key: self.running[key])[:3]
        return ", ".join(parts) + (f"; {', '.join(longest)}" if longest else "")

    def slowest(self, count: int = 5) -> list[tuple[str, float]]:
        """The recipes whose tasks took longest, in seconds, longest first."""
        return sorted(self.seconds.items(), key=lambda item: -item[1])[:count]
