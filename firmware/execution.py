# SPDX-License-Identifier: MIT
"""How the emulated board executes: instructions, the guest's clock, a pause at an exact moment.

board/emulator/execution.c is the other end.

Guest instructions are the project's unit of CPU cost: they depend on the software alone, not on the host. They are
counted when the board was started with `icount`:

    machine.start(icount=2, sleep=True)
    with Execution(machine).cost() as cost:
        ...                       # receive 64 MiB
    cost.instructions / 64        # instructions of both CPUs a MiB

A CPU that sleeps in WFI executes none, so an idle Linux costs next to nothing. Raises TargetError when the board is off
or does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from firmware.emulator import Emulator, connect
from firmware.qmp import Qmp

PATH = "/machine/execution"


@dataclass
class Cost:
    """What a stretch of work took: instructions of both CPUs, and nanoseconds of the guest's clock."""

    instructions: int = 0
    clock_ns: int = 0


class Execution:
    """Execution of a running `emulator`."""

    def __init__(self, emulator: Emulator) -> None:
        """Nothing is asked yet."""
        self._emulator = emulator

    @property
    def instructions(self) -> int:
        """Instructions executed by both CPUs since power-on."""
        return int(self._get("instructions"))

    @property
    def clock_ns(self) -> int:
        """The guest's clock: nanoseconds since power-on, also over a reset."""
        return int(self._get("clock-ns"))

    @contextmanager
    def cost(self) -> Iterator[Cost]:
        """The cost of the block: filled in behind it."""
        found, instructions, clock = Cost(), self.instructions, self.clock_ns
        yield found
        found.instructions, found.clock_ns = self.instructions - instructions, self.clock_ns - clock

    def pause_at(self, clock_ns: int, timeout: float) -> None:
        """Let the board run up to the moment `clock_ns` of its clock; returns when it has paused just there.

        A paused board (as one that was started with `paused`) goes on. With `icount` the moment is the same instruction
        in each run. Raises TargetError when it has gone by, or is not reached within `timeout` seconds of the host.
        """
        with Qmp(connect(self._emulator.folder / "qmp.sock"), "emulator") as session:
            session("qom-set", path=PATH, property="pause-at", value=clock_ns)
            session("cont")
            session.wait_for("STOP", timeout)

    def resume(self) -> None:
        """Let a paused board go on."""
        self._emulator.qmp("cont")

    def registers(self) -> str:
        """The registers of both CPUs, as QEMU's monitor prints them."""
        return str(self._emulator.qmp("human-monitor-command", command_line="info registers -a"))

    def _get(self, name: str) -> Any:
        return self._emulator.qmp("qom-get", path=PATH, property=name)
