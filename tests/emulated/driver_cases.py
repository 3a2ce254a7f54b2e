# SPDX-License-Identifier: MIT
"""The driver's cases, functions of tests/emulated/on_board/ that run on a board: how they get there and are run.

Fixtures in conftest.py: `capture` is the module's board, prepared for them; with `quiet` no test may leave a complaint
of the kernel behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.ssh import Target

if TYPE_CHECKING:
    from tests.emulated.conftest import Linux

SOURCES = Path(__file__).parent / "on_board"
PLACE = "/run/on_board"
PACKAGE = "tests.emulated.on_board"
PYTHON = ("env", "-C", PLACE, "python3", "-X", "faulthandler", "-m")  # says where it was, when it is ended
CASE_SECONDS = 120
GRACE_SECONDS = 60
# the kernel's word on an overlay that adds a property to a node which is there already
OVERLAY_LEAK = re.compile(r"OF: overlay: WARNING: memory leak will occur if overlay removed")
# its word, with a call trace, on a case that was to run out of its control group's memory
OUT_OF_MEMORY = re.compile(r"invoked oom-killer.*?Memory cgroup out of memory: Killed process", re.DOTALL)


def cases(module: str) -> list[str]:
    """Names of a module's cases that need nothing from here: those without an argument or a fault."""
    names = re.findall(r"^def case_(\w+)", (SOURCES / f"{module}.py").read_text(), re.MULTILINE)
    return [name for name in names if name not in WITH_HELP]


WITH_HELP = ("dma_into_a_mapped_file", "check_file")


def prepare(linux: Linux) -> Linux:
    """The board, without the service, so that the device is free; with the test programs on it."""
    linux.target.output(["systemctl", "mask", "--runtime", "--now", "captured"], sudo=True)
    push_cases(linux.target)
    mount = "mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug"
    linux.target.output(["sh", "-c", mount], sudo=True)
    return linux


@contextmanager
def no_complaints(board: Linux) -> Iterator[None]:
    """What happens in the block leaves no complaint of the kernel behind."""
    board.target.output(["dmesg", "--clear"], sudo=True)
    yield
    complaints = complaints_in(log(board))
    assert not complaints, complaints


def complaints_in(said: str) -> list[str]:
    """What the kernel complains of in its log, what is expected left out."""
    said = OUT_OF_MEMORY.sub(lambda report: "\n".join(["", *re.findall(r".*capture-ring.*", report[0]), ""]), said)
    lines = (line for line in said.splitlines() if not OVERLAY_LEAK.search(line))
    return [
        line for line in lines if re.search(r"WARNING|BUG|Oops|Call trace|leak|capture-ring.*(does not|cannot)", line)
    ]


def push_cases(target: Target) -> None:
    """Put the cases onto the board."""
    folder = f"{PLACE}/{PACKAGE.replace('.', '/')}"
    target.output(["mkdir", "-p", folder], sudo=True)
    for path in SOURCES.glob("*.py"):
        target.put(path.read_bytes(), f"{folder}/{path.name}", sudo=True)


def run_case(target: Target, module: str, case: str, *arguments: str, seconds: float = CASE_SECONDS) -> str:
    """Run a case on the board. TargetError: it failed, with its traceback; one that takes too long is ended there."""
    ended = ["timeout", "--signal=ABRT", "--kill-after=5", str(seconds)]
    command = [*ended, *PYTHON, f"{PACKAGE}.{module}", case, *arguments]
    return target.output(command, sudo=True, timeout=seconds + GRACE_SECONDS)


def run(board: Linux, module: str, case: str, *arguments: str) -> str:
    """Run a case on the module's board."""
    return run_case(board.target, module, case, *arguments)


def log(board: Linux) -> str:
    return board.target.output(["dmesg"], sudo=True)
