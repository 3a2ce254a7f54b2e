# SPDX-License-Identifier: MIT
"""Progress of a long step: while it runs, a line now and then says how far its log has come."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMPILED = re.compile(rb"^  (?:CC|AS|HOSTCC|LD|AR|DTC)\b", re.MULTILINE)  # what Kbuild prints for an object


def count(log: Path, pattern: re.Pattern[bytes] = COMPILED) -> int:
    """How many lines of `log` match; 0 while there is no log."""
    try:
        return len(pattern.findall(log.read_bytes()))
    except FileNotFoundError:
        return 0


@contextmanager
def watch(name: str, log: Path, every: float = 15.0) -> Iterator[None]:
    """While the block runs, print every `every` seconds how many objects its `log` says are compiled."""
    over = threading.Event()
    started = time.monotonic()

    def report() -> None:
        while not over.wait(every):
            seconds = int(time.monotonic() - started)
            print(f"    {name}: {count(log)} objects, {seconds // 60}:{seconds % 60:02d}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
