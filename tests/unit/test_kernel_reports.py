# SPDX-License-Identifier: MIT
"""Which lines of a kernel's log are a checker's report."""

from __future__ import annotations

import pytest

from firmware import kernel_reports

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "line",
    [
        "BUG: KASAN: slab-use-after-free in capture_ring_feed+0x40/0x80 [capture_ring]",
        "WARNING: CPU: 0 PID: 7 at kernel/dma/debug.c:1100 check_unmap+0x1c/0x20",
        "WARNING: possible circular locking dependency detected",
        "WARNING: suspicious RCU usage",
        "INFO: task captured:312 blocked for more than 122 seconds.",
        "BUG: sleeping function called from invalid context at mm/page_alloc.c:1",
        "DMA-API: socfpga-capture ff200000.capture: device driver failed to check map error",
        "UBSAN: array-index-out-of-bounds in ring.c:1:2",
        "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        "ODEBUG: free active (active state 0) object: 12345678 object type: work_struct",
        "BUG: Bad page state in process fuzz  pfn:12345",
        "refcount_t: underflow; use-after-free.",
        "8<--- cut here ---\n[    1.0] Unable to handle kernel NULL pointer dereference at virtual address 00000000",
        "irq 40: nobody cared (try booting with the \"irqpoll\" option)",
    ],
)  # fmt: skip
def test_report_is_found(line: str) -> None:
    assert len(kernel_reports.reports(f"[    0.1] Booting\n[    1.0] {line}\n[    1.1] more")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "DMA-API: preallocated 65536 debug entries",
        "DMA-API: debugging enabled by kernel config",
        "capture_ring: loading out-of-tree module taints kernel.",
        "kmemleak: Kernel memory leak detector initialized (mem pool available: 39000)",
        "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
    ],
)
def test_what_checkers_say_at_the_start_is_none(line: str) -> None:
    assert kernel_reports.reports(f"[    0.1] {line}\n") == []


def test_report_keeps_the_lines_behind_it() -> None:
    (report,) = kernel_reports.reports("[1] ====\n[1] BUG: KASAN: x\n[1] BUG: KASAN: x\n[1] Call trace:\n[1]  f from g")
    assert report.endswith("f from g")
