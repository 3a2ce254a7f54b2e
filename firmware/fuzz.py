# SPDX-License-Identifier: MIT
"""The fuzzer of the driver's calls, on a running board: `tests/emulated/programs/fuzz.c`, and what came of it.

    with fuzz.device(target):
        found = fuzz.run(target, seed=1, calls=100_000)

The service must be off the device meanwhile; `device` sees to it. What the kernel says is read with
firmware/kernel_reports.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from firmware import program
from firmware.errors import TargetError
from firmware.ssh import Target

SERVICE = "captured.service"
DEVICE = "/dev/capture0"
FILE = "/data/fuzz"
COULD_NOT_RUN = 2


@dataclass(frozen=True)
class Outcome:
    """`counts`: kind of call -> "ok" or an error's name -> times; `said`: what was wrong, a line each, 20 at most."""

    status: int
    calls: int
    wrong: int
    counts: dict[str, dict[str, int]]
    said: str

    def never_succeeded(self) -> list[str]:
        """Kinds of calls that the run has not got through once: it says nothing about what is behind their checks."""
        return [name for name, times in self.counts.items() if not times["ok"]]


def parse(status: int, stdout: str, stderr: str) -> Outcome:
    """The outcome in what the program printed. Raises ValueError when it did not come to its last line."""
    *lines, last = stdout.splitlines() or [""]
    totals = _numbers(last.split())
    if set(totals) != {"calls", "checks", "wrong"}:
        raise ValueError(f"fuzz: status {status}: {stderr.strip() or last}")
    counts = {name: _numbers(cells) for name, *cells in map(str.split, lines)}
    return Outcome(status, totals["calls"], totals["wrong"], counts, stderr.strip())


def _numbers(cells: list[str]) -> dict[str, int]:
    pairs = (cell.partition("=") for cell in cells)
    return {name: int(number) for name, _, number in pairs if number.isdigit()}


@contextmanager
def device(target: Target) -> Iterator[None]:
    """Nobody has the capture device open, for the length of the block; harmless where no services run."""
    _service(target, "stop")
    yield
    _service(target, "start")


def _service(target: Target, verb: str) -> None:
    script = f"test ! -d /run/systemd/system || systemctl {verb} {SERVICE}"
    target.output(["sh", "-c", script], sudo=True)


def run(target: Target, seed: int, calls: int, threads: int = 2, timeout: float = 300.0) -> Outcome:
    """`calls` random calls. Raises TargetError: could not run, or a call that hung; Late.

    The last owner's ring stays until the next open, and has any size: at the end it is the device tree's again, so that
    the memory in use can be compared before and after.
    """
    path = program.install(target, program.build(program.PROGRAMS / "fuzz.c", program.UAPI))
    done = target.run([path, str(seed), str(calls), str(threads), FILE], sudo=True, timeout=timeout)
    if done.status >= COULD_NOT_RUN:
        raise TargetError(target.name, f"fuzz, seed {seed}: status {done.status}: {done.stderr.strip()}")
    target.output(["sh", "-c", f": < {DEVICE}"], sudo=True)
    return parse(done.status, done.stdout, done.stderr)
