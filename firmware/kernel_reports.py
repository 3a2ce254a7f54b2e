# SPDX-License-Identifier: MIT
"""What a kernel's checkers have to say: reports in its log, its taint, leaks, and what is still mapped or pinned.

For flavour "debug" of firmware/kernel.py, whose checkers print and go on; the log and the taint of any other kernel
can be read, too. All reading is as root over SSH. A report is a line that begins one; `reports` gives each with the
lines behind it, so that a failed test shows where it happened.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from firmware.ssh import Target

# KASAN, UBSAN, lockdep, RCU, DMA-API, kmemleak, DEBUG_OBJECTS, DEBUG_VM, page poisoning, reference counts, ...
BEGINNINGS = re.compile(
    r"BUG: |BUG at |WARNING: |UBSAN: |DMA-API: |kmemleak: \d+ new suspected|ODEBUG: "
    r"|INFO: (?:task|rcu|possible|inconsistent|suspicious|trying)|rcu: INFO|Unable to handle kernel|Internal error: "
    r"|Bad page|pagealloc: memory corruption|refcount_t: |list_(?:add|del) corruption|Kernel panic"
    r"|unregister_netdevice: |scheduling while atomic|sleeping function called|held lock freed|nobody cared"
)
QUIET = re.compile(r"DMA-API: (?:preallocated|debugging enabled)|fault-injection")  # what checkers say at the start
LINES = 40  # of a report
DEBUGFS = "/sys/kernel/debug"
TAINTED_BY = {  # Documentation/admin-guide/tainted-kernels.rst; a module from outside (1 << 12) is no report
    1 << 4: "CPU out of specification",
    1 << 5: "bad page",
    1 << 7: "died (oops or BUG)",
    1 << 9: "warning",
    1 << 14: "soft lockup",
}
LEAK_AGE_SECONDS = 6.0  # kmemleak reports nothing younger than 5 s
SCANS = 3
STACK_POOL_KIB = 16  # lib/stackdepot.c, DEPOT_POOL_ORDER


def reports(log: str) -> list[str]:
    """Reports in the text of a kernel's log, each with up to 40 lines."""
    lines = log.splitlines()
    starts = [number for number, line in enumerate(lines) if BEGINNINGS.search(line) and not QUIET.search(line)]
    return ["\n".join(lines[start : start + LINES]) for start in _apart(starts)]


def _apart(starts: list[int]) -> Iterator[int]:
    """The first of starts that are in one report."""
    last = -LINES
    for start in starts:
        if start - last >= 3:  # a report's head is two or three lines
            yield start
        last = start


def log(target: Target) -> str:
    """The kernel's log since boot, or since it was cleared."""
    return target.output(["dmesg"], sudo=True)


def taint(target: Target) -> list[str]:
    """What the kernel's taint says that must not be."""
    flags = int(target.get("/proc/sys/kernel/tainted"))
    return [said for flag, said in TAINTED_BY.items() if flags & flag]


def lockdep_is_off(target: Target) -> bool:
    """Whether the lock checker has given up, which it does at its first report, or when its tables are full."""
    return re.search(r"^ *debug_locks: *1$", target.get("/proc/lockdep_stats", sudo=True), re.MULTILINE) is None


def forget_leaks(target: Target) -> None:
    """Let kmemleak forget what it has found so far."""
    script = f"echo scan > {DEBUGFS}/kmemleak && echo clear > {DEBUGFS}/kmemleak"
    target.output(["sh", "-c", script], sudo=True, timeout=600)


def leaks(target: Target) -> str:
    """Objects that nothing points to, as kmemleak lists them; empty: none. Takes a minute."""
    for _ in range(SCANS):
        time.sleep(LEAK_AGE_SECONDS)  # by kmemleak's own clock: an object is suspected only from that age on
        target.output(["sh", "-c", f"echo scan > {DEBUGFS}/kmemleak"], sudo=True, timeout=600)
    return target.get(f"{DEBUGFS}/kmemleak", sudo=True, timeout=600).strip()


def dma_mappings(target: Target, device: str) -> list[str]:
    """DMA mappings that are open at the moment, of devices whose name contains `device`."""
    dump = target.get(f"{DEBUGFS}/dma-api/dump", sudo=True, timeout=600)
    return [line for line in dump.splitlines() if device in line]


def pins(target: Target) -> int:
    """Pages that are pinned at the moment (pin_user_pages)."""
    target.get("/proc/sys/vm/stat_refresh", sudo=True)  # each CPU counts for itself; now they are added up
    counters = dict(line.split() for line in target.get("/proc/vmstat").splitlines())
    return int(counters["nr_foll_pin_acquired"]) - int(counters["nr_foll_pin_released"])


ACCOUNTED = (
    *("MemFree", "Buffers", "Cached", "AnonPages", "Slab", "KernelStack", "PageTables", "SwapCached"),
    *("VmallocUsed", "Percpu"),
)


def unaccounted_kib(target: Target) -> int:
    """Memory that the kernel has handed out as bare pages, in KiB: a driver's alloc_pages are in it, slabs are not."""
    target.output(["sh", "-c", "sync; echo 3 > /proc/sys/vm/drop_caches"], sudo=True, timeout=300)
    rows = (line.split() for line in target.get("/proc/meminfo").splitlines())
    kib = {name.rstrip(":"): int(number) for name, number, *_ in rows}
    return kib["MemTotal"] - sum(kib[name] for name in ACCOUNTED) - _stack_depot_kib(target)


def _stack_depot_kib(target: Target) -> int:
    """What the checkers keep of call stacks, which only grows; 0 on a kernel without them."""
    said = target.output(["sh", "-c", f"cat {DEBUGFS}/stackdepot/stats 2>/dev/null || true"], sudo=True)
    found = re.search(r"^pools: (\d+)$", said, re.MULTILINE)
    return int(found[1]) * STACK_POOL_KIB if found else 0
