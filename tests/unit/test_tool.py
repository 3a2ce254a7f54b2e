# SPDX-License-Identifier: MIT
"""A program that has the terminal: it is waited for when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firmware import checking, paths, tool
from firmware.errors import UserError

pytestmark = pytest.mark.unit
ORDERLY = """
import pathlib, sys, time
try:
    pathlib.Path(sys.argv[1]).write_text("begun")
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    pathlib.Path(sys.argv[1]).write_text("in order")
"""
# with Ctrl-C as a terminal has it: in a shell's background it is ignored
CALLER = """
import signal, sys
from firmware import tool
signal.signal(signal.SIGINT, signal.default_int_handler)
tool.attended([sys.executable, "-c", *sys.argv[1:]])
"""


def test_status_is_the_program_s() -> None:
    assert tool.attended([sys.executable, "-c", "raise SystemExit(7)"]) == 7


def test_interrupted_program_puts_things_in_order(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = [sys.executable, "-c", CALLER, ORDERLY, str(said)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=paths.ROOT) as process:
        while not (said.exists() and said.read_text()):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert b"KeyboardInterrupt" in process.stderr.read()
    assert said.read_text() == "in order"


@pytest.mark.parametrize(("only", "status"), [("nosuch", 5), ("(", 4)])
def test_check_that_selects_nothing_says_so(only: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def attended(command: list[str], cwd: Path) -> int:
        assert cwd == paths.ROOT
        seen.append(command)
        return status

    monkeypatch.setattr(tool, "attended", attended)
    with pytest.raises(UserError, match=r"--only: '.*' selects no test \(valid: "):
        checking.run(only, slow=True)
    assert seen[0][-3:] == ["--slow", "-k", only]


def test_check_tells_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "attended", lambda command, cwd: 1)
    assert checking.run() == 1
