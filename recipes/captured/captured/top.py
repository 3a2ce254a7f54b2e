# SPDX-License-Identifier: MIT
"""The status for a person: one page of text, and `capturectl top`, the same page live.

Speeds are differences of two looks. No curses: what an SSH session's terminal understands is enough, and a pipe gets
plain text. `q` leaves, as Ctrl-C does; nothing else that is typed does anything. It stays when the service goes away.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from captured.client import ask
from captured.errors import CapturedError

MIB = 1 << 20
_SPARKS = "▁▂▃▄▅▆▇█"
_BAR = 32
_HISTORY = 60
_LEAST_SECONDS = 0.1
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"

Status = Mapping[str, Any]


def bar(part: float, whole: float, width: int = _BAR) -> str:
    """A bar that is filled to `part` of `whole`."""
    full = round(width * min(1.0, max(0.0, part / whole if whole else 0.0)))
    return "█" * full + "·" * (width - full)


def sparks(values: Sequence[float]) -> str:
    """A line of bars, the largest value as high as can be."""
    top = max(values, default=0.0) or 1.0
    return "".join(_SPARKS[min(len(_SPARKS) - 1, int(value / top * len(_SPARKS)))] for value in values)


def amount(size: float) -> str:
    """Bytes for a person."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


class Speeds:
    """Bytes a second, by name, from one look to the next."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.history: deque[float] = deque(maxlen=_HISTORY)
        self.now: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._at = 0.0

    def look(self, status: Status, at: float) -> None:
        """Take a status that was seen `at` that second."""
        seen = {"capture": float(status["bytes_taken"])}
        seen |= {one["name"]: float(one["bytes"]) for one in status["sinks"] if "bytes" in one}
        span = at - self._at
        if self._last and span > 0:
            known = self._last
            self.now = {name: max(0.0, value - known.get(name, value)) / span for name, value in seen.items()}
            self.history.append(self.now["capture"])
        self._last, self._at = seen, at


def page(status: Status, speeds: Speeds | None = None) -> list[str]:
    """Lines of the page."""
    now = speeds.now if speeds else {}
    lines = [*_head(status), "", *_capture(status, now)]
    if speeds and speeds.history:
        lines.append(f"speed     {sparks(list(speeds.history))}")
    return [*lines, *_ring(status), "", *sinks(status["sinks"], now), "", *_disk(status)]


def _head(status: Status) -> list[str]:
    device = status["device"]
    where = " ".join(str(part) for part in (status["board"], status.get("release"), status.get("slot")) if part)
    heat = f", {status['temperature']:.0f} °C" if status.get("temperature") is not None else ""
    state = status["state"] if device["open"] else f"NO DEVICE: {device['reason']}"
    lines = [f"{where}: {state}{heat}"]
    if status["configuration"]["error"]:
        lines.append(f"CONFIGURATION: {status['configuration']['error']}")
    return lines


def _capture(status: Status, now: Mapping[str, float]) -> list[str]:
    if not status["capture"]:
        return ["capture   none yet"]
    wanted = status["bytes_wanted"]
    rate = f"{amount(status['rate'])}/s" if status["rate"] else "as fast as taken"
    lines = [f"capture   {status['capture']}: {status['pattern']}, {rate}"]
    done = f"{bar(status['bytes_taken'], wanted)} of {amount(wanted)}" if wanted else ""
    speed = f"  {amount(now['capture'])}/s" if "capture" in now else ""
    lines.append(f"taken     {amount(status['bytes_taken'])}{speed}  {done}".rstrip())
    lost = f"{status['gaps']} gaps, {amount(status['lost_bytes'])} lost, {status['errors']} DMA errors"
    return [*lines, f"lost      {lost}"]


def _ring(status: Status) -> list[str]:
    ring, blocks = status["ring"], status["device"]["blocks"]
    used = ring["blocks_done"] + ring["blocks_user"]
    return [f"ring      {bar(used, blocks)} {used} of {blocks} blocks, {amount(status['device']['block_bytes'])} each"]


def sinks(found: Sequence[Status], now: Mapping[str, float] | None = None) -> list[str]:
    """A line for each sink."""
    now = now or {}
    lines = [f"{'sink':23} {'kind':4} {'policy':10} {'held':>5} {'bytes':>10} {'now':>12} {'dropped':>10}"]
    for one in found:
        name = str(one["name"])[:28]
        if "held" not in one:
            lines.append(f"{name:23} {one['kind']:4} {one['waiting']}")
            continue
        speed = f"{amount(now[one['name']])}/s" if one["name"] in now else ""
        held = f"{one['held']}/{one['limit']}"
        line = f"{name:23} {one['kind']:4} {one['policy']:10} {held:>5} {amount(one['bytes']):>10} {speed:>12}"
        line += f" {amount(one['dropped_bytes']):>10}" + (" behind" if one["behind"] else "")
        lines.append(line + (f"  {one['error']}" if one.get("error") else ""))
    return lines if found else [*lines, "none: blocks go back at once"]


def _disk(status: Status) -> list[str]:
    disk = status["disk"]
    free = amount(disk["free_bytes"]) if disk["free_bytes"] is not None else "not there"
    lines = [f"disk      {disk['folder']}: {free} free"]
    if disk["partition"]:
        lines.append(f"partition {disk['partition']}: recordings go there")
    last = disk["last"]
    if last:
        said = f": {last['error']}" if last["error"] else ""
        files = f"{last['files']} file" + ("" if last["files"] == 1 else "s")
        lines.append(f"last      {last['name']}: {amount(last['written'])} in {files}{said}")
    return lines + [f"repaired  {one}" for one in disk["repaired"]]


def run(control: Path, seconds: float, once: bool = False, as_json: bool = False) -> None:
    """Look again and again until interrupted, or `q`.

    Raises CapturedError when the service does not answer; on a terminal only the first time: it may start again.
    """
    live = sys.stdout.isatty() and not once and not as_json
    speeds = Speeds()
    status: Status = ask(control, {"command": "status"})
    with _screen() if live else contextlib.nullcontext(False) as keys:
        while True:
            speeds.look(status, time.monotonic())
            if as_json:
                print(json.dumps({"speeds": speeds.now, **status}), flush=True)
            else:
                _draw(page(status, speeds), live)
            if once or _left(seconds, keys):
                return
            found: Status | None = _again(control, seconds, keys) if live else ask(control, {"command": "status"})
            if found is None:
                return
            status = found


def _again(control: Path, seconds: float, keys: bool) -> Status | None:
    """The status, as soon as the service answers; None when it was left before."""
    while True:
        try:
            return ask(control, {"command": "status"})
        except CapturedError as error:
            _draw([f"{error}", "looking again; q leaves"], live=True)
            if _left(seconds, keys):
                return None


@contextlib.contextmanager
def _screen() -> Iterator[bool]:
    """The terminal's other screen, without echo; whether keys can be read."""
    keys = sys.stdin.isatty()
    before = termios.tcgetattr(sys.stdin) if keys else []
    sys.stdout.write(_ENTER)
    try:
        if keys:
            tty.setcbreak(sys.stdin)
        yield keys
    finally:
        if keys:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()


def _left(seconds: float, keys: bool) -> bool:
    """Wait; whether `q` was typed, or the terminal is gone."""
    if not keys:
        time.sleep(max(_LEAST_SECONDS, seconds))
        return False
    end = time.monotonic() + max(_LEAST_SECONDS, seconds)
    keyboard = sys.stdin.fileno()
    while select.select([keyboard], [], [], max(0.0, end - time.monotonic()))[0]:
        typed = os.read(keyboard, 64)
        if b"q" in typed or not typed:
            return True
    return False


def _draw(lines: Sequence[str], live: bool) -> None:
    if not live:
        print("\n".join(lines), flush=True)
        return
    width, height = shutil.get_terminal_size()
    shown = [line[:width] + _CLEAR_LINE for line in lines[: height - 1]]
    sys.stdout.write(_HOME + "\r\n".join(shown) + "\r\n" + _CLEAR_BELOW)
    sys.stdout.flush()
