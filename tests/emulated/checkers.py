# SPDX-License-Identifier: MIT
"""What the kernel's checkers must have found on a board with the debug kernel: nothing."""

from __future__ import annotations

from firmware import kernel_reports
from firmware.ssh import Target


def quiet(target: Target, but: str = "nothing") -> None:
    """No checker has spoken `but` of this since boot, or since the log was cleared, and nothing is pinned."""
    reports = [
        said for said in kernel_reports.reports(kernel_reports.log(target)) if but not in said.partition("\n")[0]
    ]
    taint = kernel_reports.taint(target)
    assert not reports, "\n\n".join(reports)
    assert not taint, taint
    assert kernel_reports.pins(target) == 0, "pages are still pinned"
    assert not kernel_reports.lockdep_is_off(target), "lockdep has given up"
