# SPDX-License-Identifier: MIT
"""Each allocation, and each copy between kernel and user space, of each of the driver's calls fails once.

Under the kernel's checkers, on a board with a small ring (`debug_board.small`), as in test_debug_fuzz.py. Slow tier.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firmware import board as boards
from firmware import debug_board, kernel_reports, program
from firmware.ssh import Target
from tests.emulated.checkers import quiet

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

SECONDS = 3600.0
# The kernel copies a thread's rseq area at its way back from a call, and kills who has none to copy (kernel/rseq.c): a
# failure must not meet that copy. The C library does without.
NO_RSEQ = "GLIBC_TUNABLES=glibc.pthread.rseq=0"
CALLS = ("open", "SETUP", "mmap", "START", "DEQUEUE", "ENQUEUE", "read", "REGISTER")  # that cannot do without any
# DMA-API's own allocation is among those that fail; it says so, and looks no further (kernel/dma/debug.c)
ITS_OWN = "DMA-API: cacheline tracking ENOMEM"
# every allocation, of any size, also one that may wait; the kernel is silent about them
PREPARE = (
    "cd /sys/kernel/debug && echo N >failslab/ignore-gfp-wait && echo N >fail_page_alloc/ignore-gfp-wait &&"
    " echo 0 >fail_page_alloc/min-order &&"
    " for way in failslab fail_page_alloc fail_usercopy; do echo 0 >$way/verbose; done"
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The board, what leaked at boot forgotten."""
    board = debug_board.small(boards.load(boards.DEFAULT_BOARD))
    with debug_board.booted(board, tmp_path_factory.mktemp("failures")) as (_, target):
        kernel_reports.forget_leaks(target)
        yield target


def test_device_captures_behind_each_failure(target: Target) -> None:
    target.output(["sh", "-c", PREPARE], sudo=True)
    path = program.install(target, program.build(program.PROGRAMS / "fail_nth.c", program.UAPI))
    said = target.output(["env", NO_RSEQ, path], sudo=True, timeout=SECONDS)
    print(f"\n{said}")
    rows = [line.split() for line in said.splitlines()]
    injected = {name: int(cell.removeprefix("injected=")) for name, cell, _ in rows}
    assert all(injected[name] for name in CALLS)
    quiet(target, but=ITS_OWN)


def test_nothing_leaked(target: Target) -> None:
    assert kernel_reports.leaks(target) == ""
