# SPDX-License-Identifier: MIT
"""The fuzzer's table of calls against the driver's header, and the reading of what it prints."""

from __future__ import annotations

import re

import pytest

from firmware import fuzz, program

pytestmark = pytest.mark.unit


def test_output_that_ends_early_is_refused() -> None:
    with pytest.raises(ValueError, match="status -1: it crashed"):
        fuzz.parse(-1, "INFO ok=1\n", "it crashed\n")


def test_outcome_is_read() -> None:
    found = fuzz.parse(1, "INFO ok=3 EFAULT=1\nSTART ok=0 EINVAL=2\ncalls=6 checks=1 wrong=1\n", "INFO: abi 7\n")
    assert (found.calls, found.wrong, found.said) == (6, 1, "INFO: abi 7")
    assert found.counts == {"INFO": {"ok": 3, "EFAULT": 1}, "START": {"ok": 0, "EINVAL": 2}}
    assert found.never_succeeded() == ["START"]


def test_every_call_of_the_header_is_fuzzed() -> None:
    header = set(re.findall(r"#define (CAPTURE_RING_IOC_\w+)", (program.UAPI / "capture_ring.h").read_text()))
    table = set(re.findall(r"\{ \"\w+\", (CAPTURE_RING_IOC_\w+),", (program.PROGRAMS / "fuzz_calls.h").read_text()))
    assert header == table != set()
