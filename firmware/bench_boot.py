# SPDX-License-Identifier: MIT
"""Figures of `./inv bench` about the boot, stage by stage.

On an emulated board in guest instructions, which are the same on every host: the board counts (`icount`), and a stage
ends when its successor first speaks on the console. The count is read just behind that: good to a few million. On any
board in seconds of its own clock, as systemd keeps them (org.freedesktop.systemd1(5): microseconds since the kernel has
started); these leave out the boot loader.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from firmware import cost, engine, reach, start_up
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.execution import Execution
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target

MILLION = 1e6
SECONDS = 600.0
SETTLED_SECONDS = 300.0
# stage -> what ends it on the console, and what that means
STAGES = {
    "spl": (r"\nU-Boot 20\d\d", "U-Boot says its name"),
    "u_boot": ("Starting kernel", "U-Boot starts the kernel"),
    "kernel": (r"systemd\[1\]: ", "systemd's first word"),
    "userspace": (r"ssh\.service", "SSH is started"),
}
INSTRUCTIONS = {
    f"boot_{stage}_minsn": Figure("million instructions", f"of both CPUs, from the stage before until {meaning}")
    for stage, (_, meaning) in STAGES.items()
}
STAMPS = {
    "boot_kernel_s": ("", "UserspaceTimestampMonotonic"),
    "boot_userspace_s": ("", "FinishTimestampMonotonic"),
    "boot_to_service_s": ("captured", "ActiveEnterTimestampMonotonic"),
}


def instructions(choice: Choice) -> dict[str, float]:
    """Millions of instructions of each stage. Raises TargetError: one does not end."""
    with tempfile.TemporaryDirectory(prefix="boot-") as name:
        folder = Path(name)
        card = folder / "card.img"
        reach.make_card(engine.build(choice.board, choice.engine), card, KnownHosts(folder / "known_hosts"))
        machine = Emulator(choice.board, card, folder)
        machine.start(icount=cost.ICOUNT_SHIFT, sleep=True)
        try:
            return stages(machine)
        finally:
            machine.stop()


def stages(machine: Emulator) -> dict[str, float]:
    """The same, of a board that has just been switched on."""
    execution, before, found = Execution(machine), 0, {}
    for stage, (end, _) in STAGES.items():
        machine.wait_console(end, SECONDS)
        now = execution.instructions
        found[f"boot_{stage}_minsn"] = (now - before) / MILLION
        before = now
    return found


def stamps(target: Target) -> dict[str, float]:
    """Seconds of the board's clock, from the kernel's start on; user space's are from its own start on.

    Raises TargetError: the board has not booted to its end, or the service does not run.
    """
    start_up.wait(target, SETTLED_SECONDS)
    found = {}
    for name, (unit, wanted) in STAMPS.items():
        said = target.output(["systemctl", "show", "-P", wanted, *([unit] if unit else [])]).strip()
        if not said.isdigit() or said == "0":
            raise TargetError(target.name, f"systemd has no {wanted}{f' of {unit}' if unit else ''}: {said!r}")
        found[name] = int(said) / 1e6
    return found | {"boot_userspace_s": found["boot_userspace_s"] - found["boot_kernel_s"]}


def seconds(choice: Choice) -> dict[str, float]:
    """Seconds of the board that is attached."""
    target = reach.reach(choice).target
    with target:
        return stamps(target)


GROUPS = (
    Group(INSTRUCTIONS, instructions),
    Group(
        {
            "boot_kernel_s": Figure("s", "of the board's clock, kernel: from its start to systemd"),
            "boot_userspace_s": Figure("s", "of the board's clock, user space: from systemd to the end of the boot"),
            "boot_to_service_s": Figure("s", "of the board's clock, from the kernel's start to the capture service"),
        },
        seconds,
        metal=True,
    ),
)
