# SPDX-License-Identifier: MIT
"""What a sound board's kernel may say at level warning beyond `tests/explained.py`'s table, each with its reason."""

from __future__ import annotations

from tests import explained

BUSY = "the emulated board's host was busy"
FURTHER = {
    r"sched: RT throttling activated": BUSY,
    r"rcu: INFO: rcu_\w+ (self-)?detected": BUSY,
    r"clocksource: .*": "which clock is used, and how good it is",
    r"L2C-310: .*": "how the cache was set up; the kernel says it as a warning",
    r"GIC: PPI\d+ is secure or misconfigured": "the private timer's interrupt is edge triggered in hardware",
    r"hw perfevents: no irqs for PMU": "the PMU counts without an interrupt",
    r"IRQ eth_lpi not found": "mainline's device tree",
    r"random: .* uninitialized urandom read": "before the pool is filled; nothing makes a key then",
}


def unexplained(lines: list[str]) -> list[str]:
    """Lines for which there is no reason."""
    return explained.unexplained([line for line in lines if line.strip()], explained.allowed() | FURTHER)
