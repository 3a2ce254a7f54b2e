# SPDX-License-Identifier: MIT
"""CPU seconds of a command: of an orphan that it leaves, too, and with its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firmware import cpu_time

pytestmark = pytest.mark.unit

# burns its seconds in a process that has detached itself: its parent has ended before
ORPHAN = """\
import os, sys, time
if os.fork():
    sys.exit(int(sys.argv[1]))
os.setsid()
if os.fork():
    os._exit(0)
while time.process_time() < float(sys.argv[2]):
    pass
"""


def run(status: int, seconds: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(cpu_time.__file__)), sys.executable, "-c", ORPHAN, str(status), str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_orphan_counts() -> None:
    assert float(run(0, 0.5).stdout) >= 0.5 > float(run(0, 0.0).stdout)


def test_exit_status_is_the_commands() -> None:
    assert run(3, 0.0).returncode == 3
