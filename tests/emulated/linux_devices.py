# SPDX-License-Identifier: MIT
"""Every device that a booted Linux has on an emulated board, and its driver, against docs/emulator.md.

The table there is the only place where they stand, and it is read here. What differs comes back as text: a device that
is not in the table, or is there and isn't on the board, another driver or none, a driver that still waits for
something, and a node of the device tree that nobody took.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from firmware import paths
from tests.emulated.conftest import Linux

HEADING = "## What Linux finds"
WALK = Path(__file__).parent / "on_board" / "walk_devices.py"
DEBUGFS = "mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug"
ROW = re.compile(r"^\| (`.*?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
NO_DRIVER = "none"
HANDLED = {  # nodes without a device of their own -> who takes them
    r"cpus/cpu@[01]": "arch/arm's SMP start",
    r"interrupt-controller@fffed000": "irq-gic, before there are devices",
    r"soc/clkmgr@ffd04000/clocks/.*": "clk-socfpga",
    r"soc/gpio@ff70[89a]000/gpio-controller@0": "gpio-dwapb: its parent's driver",
    r"soc/spi@ff705000/flash@0": "QSPI, which is not modelled and has no driver here",
    r"soc/eccmgr/(l2|ocram)-ecc@ffd0814[04]": "altera_edac, which is not in socfpga_defconfig",
}


def expected(board: str, text: str = "") -> dict[str, str]:
    """Device -> driver (or `NO_DRIVER`) on `board`, from the table; `text`: of another page, for its own test."""
    text = text or (paths.ROOT / "docs" / "emulator.md").read_text()
    section = text.split(HEADING)[1].split("\n## ")[0]
    found: dict[str, str] = {}
    for devices, boards, driver, reason in re.findall(
        r"^\| (`.*?) \| (.*?) \| (.*?) \| (.*?) \|$", section, re.MULTILINE
    ):
        assert reason.strip(), f"{devices}: no reason"
        if boards == "all" or board in re.findall(r"[\w-]+", boards):
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", devices), driver.strip("`"))
    return found


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Where devices -> drivers are not as wanted, a text each."""
    texts = []
    for name in sorted(found.keys() | wanted.keys()):
        is_there = found.get(name, "not there") or NO_DRIVER
        should_be = wanted.get(name, "not in docs/emulator.md")
        if is_there != should_be:
            texts.append(f"{name}: driver {is_there}, expected {should_be}")
    return texts


def unaccounted(linux: Linux) -> list[str]:
    """What is not as the table has it on the board; empty: all is accounted for."""
    script = f"{DEBUGFS}; exec python3 -"
    said = json.loads(linux.target.output(["sh", "-c", script], sudo=True, stdin=WALK.read_bytes()))
    found = differences(said["devices"], expected(linux.board.name))
    found += [f"waits for something: {line}" for line in said["deferred"].splitlines()]
    found += [f"nobody took {node}" for node in said["nodes"] if not any(re.fullmatch(p, node) for p in HANDLED)]
    return found
