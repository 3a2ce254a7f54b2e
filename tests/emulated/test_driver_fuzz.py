# SPDX-License-Identifier: MIT
"""The driver's calls in random order, on the release image, in short.

The long run, under the kernel's checkers, is in test_debug_fuzz.py.
"""

from __future__ import annotations

import pytest

from firmware import fuzz, kernel_reports, program
from tests.emulated.conftest import Linux

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

CALLS = 20_000
SEED = 20261124
LEAK_KIB = 2048  # the counters of /proc/meminfo are kept by CPU and differ by some pages


def test_wrong_arguments_are_told(linux: Linux) -> None:
    path = program.install(linux.target, program.build(program.PROGRAMS / "fuzz.c", program.UAPI))
    done = linux.target.run([path, "1"])
    assert (done.status, done.stdout) == (fuzz.COULD_NOT_RUN, "")
    assert "usage: fuzz SEED CALLS" in done.stderr


def test_random_calls_break_no_promise_and_leave_nothing(linux: Linux) -> None:
    with fuzz.device(linux.target):
        fuzz.run(linux.target, SEED, 2000)  # what is allocated once is there
        before = kernel_reports.unaccounted_kib(linux.target)
        found = fuzz.run(linux.target, SEED, CALLS, timeout=1800)
        after = kernel_reports.unaccounted_kib(linux.target)
    assert (found.calls, found.wrong, found.said) == (CALLS, 0, "")
    assert set(found.never_succeeded()) <= {"open"}  # a second one: succeeds only when there is no owner at the moment
    assert "EIO" not in found.counts["START"]
    assert kernel_reports.reports(kernel_reports.log(linux.target)) == []
    assert kernel_reports.taint(linux.target) == []
    assert kernel_reports.pins(linux.target) == 0
    assert after - before < LEAK_KIB
