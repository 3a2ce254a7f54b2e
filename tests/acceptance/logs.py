# SPDX-License-Identifier: MIT
"""What a sound board's logs may say at level warning and worse, each with its reason. A line that nothing here explains
fails the case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

KNOWN: Mapping[str, str] = {
    r"dw_mmc .*: Unexpected interrupt latency": "the emulated board's host was busy in a transfer",
    r"sched: (RT throttling activated|DL replenish lagged too much)": "the emulated board's host was busy",
    r"rcu: INFO: rcu_\w+ (self-)?detected": "the emulated board's host was busy",
    r"clocksource: .*": "which clock is used, and how good it is",
    r"L2C-310: .*": "how the cache was set up; the kernel says it as a warning",
    r"GIC: PPI\d+ is secure or misconfigured": "the private timer's interrupt is edge triggered in hardware",
    r"hw perfevents: no irqs for PMU": "the PMU counts without an interrupt",
    r"IRQ (eth_wake_irq|eth_lpi|sfty) not found|PTP uses main clock|Deprecated MDIO bus": "mainline's device tree",
    r"dummy supplies not allowed|supply vusb_[ad] not found|dr_mode forced": "the device tree has no USB supplies",
    r"hw-breakpoint: debug architecture 0x\d+ unsupported": "the emulated board's CPU",
    r"loading out-of-tree module taints kernel": "the driver is one",
    r"hrtimer: interrupt took|CTO timeout when already completed": "the emulated board's host was busy",
    r"random: .* uninitialized urandom read": "before the pool is filled; nothing makes a key then",
}


def unexplained(lines: Iterable[str]) -> list[str]:
    """Lines for which there is no reason."""
    patterns = [re.compile(pattern) for pattern in KNOWN]
    return [line for line in lines if line.strip() and not any(pattern.search(line) for pattern in patterns)]
