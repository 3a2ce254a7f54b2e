# SPDX-License-Identifier: MIT
"""BitBake's event log: broken and hostile lines first, then what a build looks like from its events."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from firmware import events
from firmware.events import Event, Failure, Reader, State

pytestmark = pytest.mark.unit


def line(module: str, name: str, **values: Any) -> str:
    """A line as BitBake writes it; its class exists only while it is pickled."""
    made = type(name, (), {"__module__": module})
    holder = types.ModuleType(module)
    setattr(holder, name, made)
    thing = made()
    vars(thing).update(values)
    sys.modules[module] = holder
    try:
        pickled = base64.b64encode(pickle.dumps(thing)).decode()
    finally:
        del sys.modules[module]
    return json.dumps({"class": f"{module}.{name}", "vars": pickled}) + "\n"


class Evil:
    """Unpickling it would run a program."""

    def __reduce__(self) -> Any:
        """What would be called."""
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"class": "a.B", "vars": "AAAA"}', '{"allvariables": {}}'])
def test_line_that_is_no_event_is_passed_over(text: str) -> None:
    assert events.decode(text) is None


def test_nothing_in_a_log_is_ever_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = base64.b64encode(pickle.dumps(Evil())).decode()
    events.decode(json.dumps({"class": "a.B", "vars": hostile}))
    assert list(tmp_path.iterdir()) == []


def test_reader_follows_and_waits_for_whole_lines(tmp_path: Path) -> None:
    log, reader = tmp_path / "events.json", Reader(tmp_path / "events.json")
    assert list(reader.events()) == []
    whole = line("bb_x", "One", n=1) + line("bb_x", "Two", n=2)
    log.write_text(whole[:-10])
    assert [event.name for event in reader.events()] == ["One"]
    with log.open("a") as stream:
        stream.write(whole[-10:])
    assert [(event.name, event.values["n"]) for event in reader.events()] == [("Two", 2)]


def task(name: str, pn: str, task_name: str, time: float, **values: Any) -> Event:
    return Event(name, {"pn": pn, "_task": task_name, "time": time, **values})


def stats(done: int, total: int, covered: int = 0, setscene: int = 0) -> Event:
    numbers = events.Plain()
    vars(numbers).update(
        total=total, completed=done, skipped=0, setscene_total=setscene, setscene_covered=covered, failed=0
    )
    return Event("runQueueTaskStarted", {"stats": numbers})


def test_progress_has_tasks_reuse_estimate_and_what_runs() -> None:
    state = State()
    state.take(Event("ParseProgress", {"current": 5, "total": 9}))
    assert state.line(0) == "parsing recipes, 5 of 9"
    state.take(Event("ParseCompleted", {}))
    state.take(stats(0, 100, 7, 8))
    state.take(task("TaskStarted", "linux", "do_compile", 100.0))
    assert "left" not in state.line(110.0)
    state.take(stats(20, 100, 7, 8))
    assert state.line(120.0) == "20 of 100 tasks, 7 of 8 taken from sstate, about 1:20 left; linux:compile"


def test_slowest_recipes_are_summed_over_their_tasks() -> None:
    state = State()
    for pn, name, start, end in (("a", "do_x", 0, 3), ("b", "do_x", 0, 4), ("a", "do_y", 3, 6)):
        state.take(task("TaskStarted", pn, name, start))
        state.take(task("TaskSucceeded", pn, name, end))
    assert state.slowest() == [("a", 6.0), ("b", 4.0)]
    assert state.executed == 3


def test_setscene_task_that_fails_is_no_failure(tmp_path: Path) -> None:
    state = State()
    state.take(task("TaskFailed", "a", "do_package_setscene", 1.0, logfile="x"))
    assert state.failures == []
    state.take(task("TaskFailed", "a", "do_package", 1.0, logfile=str(tmp_path / "log")))
    assert state.failures == [Failure("a", "do_package", tmp_path / "log")]


def test_missing_provider_is_said_with_who_needs_it() -> None:
    state = State()
    state.take(Event("NoProvider", {"_item": "x", "_runtime": True, "_dependees": ["/a/b/one_1.0.bb"]}))
    assert state.problems == ["nothing RPROVIDES 'x', needed by one_1.0.bb"]


@pytest.mark.parametrize(("kind", "left"), [("disk", "700 MiB"), ("inode", "734003200 inodes")])
def test_full_disk_is_said_with_its_place(kind: str, left: str) -> None:
    state = State()
    state.take(Event("DiskFull", {"_dev": "/dev/sda1", "_type": kind, "_free": 700 << 20, "_mountpoint": "/build/tmp"}))
    (said,) = state.full
    assert said.startswith(f"no room: {left} left at /build/tmp (valid: more than BB_DISKMON_DIRS")


def test_failure_shows_the_lines_that_matter(tmp_path: Path) -> None:
    log = tmp_path / "log.do_compile"
    noise = "".join(f"  CC {n}.o\n" for n in range(50))
    log.write_text(
        f"DEBUG: Executing\n{noise}x.c: In function 'f'\nx.c:3:1: error: expected ';'\n{noise}ERROR: ExecutionError\n"
    )
    said = Failure("linux", "do_compile", log).text().splitlines()
    assert said == [
        "linux: do_compile failed",
        "    x.c: In function 'f'",
        "    x.c:3:1: error: expected ';'",
        f"whole log: {log}",
    ]


def test_why_upstream_gave_no_source_is_shown_before_what_the_last_mirror_said(tmp_path: Path) -> None:
    log = tmp_path / "log.do_fetch"
    log.write_text(
        "DEBUG: Fetcher failure: Unable to find revision 1 in branch main even from upstream\n"
        "DEBUG: comparing\nERROR: Bitbake Fetcher Error: NetworkAccess('http://mirror')\n"
    )
    assert Failure("a", "do_fetch", log).text().splitlines()[1:3] == [
        "    Fetcher failure: Unable to find revision 1 in branch main even from upstream",
        "    ERROR: Bitbake Fetcher Error: NetworkAccess('http://mirror')",
    ]


def test_failure_without_such_lines_shows_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"step {n}\n" for n in range(100)))
    assert events.telling_lines(log)[-1] == "step 99"
    assert len(events.telling_lines(log)) == events.SHOWN_LINES
    assert "gone" in Failure("a", "do_x", tmp_path / "gone").text()
