# SPDX-License-Identifier: MIT
"""Progress of a long step: while it runs, a line now and then says how far its log has come."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COMPILED = re.compile(rb"^  (?:CC|AS|HOSTCC|LD|AR|DTC)\b", re.MULTILINE)  # what Kbuild prints for an object


def count(log: Path, pattern: re.Pattern[bytes] = COMPILED) -> int:
    """How many lines of `log` match; 0 while there is no log."""
    try:
        return len(pattern.findall(log.read_bytes()))
    except FileNotFoundError:
        return 0


def objects(log: Path) -> str:
    """How far a compilation has come."""
    return f"{count(log)} objects"


def last_line(log: Path) -> str:
    """What a program that tells what it does is doing."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1].removeprefix("I: ").rstrip(".") if lines else "begun"


@contextmanager
def watch(name: str, log: Path, every: float = 15.0, said: Callable[[Path], str] = objects) -> Iterator[None]:
    """While the block runs, print every `every` seconds what `said` makes of its `log`."""
    over = threading.Event()
    started = time.monotonic()

    def report() -> None:
        while not over.wait(every):
            seconds = int(time.monotonic() - started)
            print(f"    {name}: {said(log)}, {seconds // 60}:{seconds % 60:02d}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
