# SPDX-License-Identifier: MIT
"""The fuzzer's table of calls against the driver's header, and the reading of what it prints."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from firmware import fuzz, program
from firmware.ssh import Target

pytestmark = pytest.mark.unit


def test_output_that_ends_early_is_refused() -> None:
    with pytest.raises(ValueError, match="status -1: it crashed"):
        fuzz.parse(-1, "INFO ok=1\n", "it crashed\n")


def test_outcome_is_read() -> None:
    found = fuzz.parse(1, "INFO ok=3 EFAULT=1\nSTART ok=0 EINVAL=2\ncalls=6 checks=1 wrong=1\n", "INFO: abi 7\n")
    assert (found.calls, found.wrong, found.said) == (6, 1, "INFO: abi 7")
    assert found.counts == {"INFO": {"ok": 3, "EFAULT": 1}, "START": {"ok": 0, "EINVAL": 2}}
    assert found.never_succeeded() == ["START"]


def test_run_leaves_the_device_trees_ring_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring of another size would look like a leak, or hide one."""
    commands: list[list[str]] = []

    def take(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(status=0, stdout="INFO ok=1\ncalls=9 checks=1 wrong=0\n", stderr="")

    monkeypatch.setattr(program, "build", lambda *_: Path("fuzz"))
    monkeypatch.setattr(program, "install", lambda *_: "/run/fuzz")
    found = fuzz.run(cast(Target, SimpleNamespace(name="board", run=take, output=take)), 3, 9)
    assert found.calls == 9
    assert commands == [["/run/fuzz", "3", "9", "2", fuzz.FILE], ["sh", "-c", ": < /dev/capture0"]]


def test_every_call_of_the_header_is_fuzzed() -> None:
    header = set(re.findall(r"#define (CAPTURE_RING_IOC_\w+)", (program.UAPI / "capture_ring.h").read_text()))
    table = set(re.findall(r"\{ \"\w+\", (CAPTURE_RING_IOC_\w+),", (program.PROGRAMS / "fuzz_calls.h").read_text()))
    assert header == table != set()
