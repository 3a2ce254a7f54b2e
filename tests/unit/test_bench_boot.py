# SPDX-License-Identifier: MIT
"""The boot's figures: what ends a stage, in order; a board that has not booted gives none."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from firmware import bench, bench_boot
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.ssh import Result, Target

pytestmark = pytest.mark.unit

CONSOLE = """
U-Boot SPL 2023.01 (Jan 01 2023)
Trying to boot from MMC1

U-Boot 2023.01 (Jan 01 2023)
Starting kernel ...
[    0.000000] Linux version 6.12
systemd[1]: Hostname set to <board-1>.
[  OK  ] Started ssh.service - OpenBSD Secure Shell server.
"""


class Board:
    """Answers `systemctl show` from `said`."""

    name = "board-7"

    def __init__(self, **said: str) -> None:
        """By the property's name."""
        self.said = said

    def run(self, *_: Any, **__: Any) -> Result:
        """It has booted, one unit failed: no matter here."""
        return Result(1, "degraded\n", "")

    def output(self, command: list[str], **_: Any) -> str:
        """What systemd says."""
        return self.said[command[3]] + "\n"


class Machine:
    """Has all of `CONSOLE` to show, and executes 5 million instructions between two questions."""

    def __init__(self) -> None:
        """Just switched on."""
        self.left, self.count = CONSOLE, 0

    def wait_console(self, pattern: str, _timeout: float) -> None:
        """As the emulator's."""
        found = re.search(pattern, self.left)
        if not found:
            raise TargetError("emulator", f"console: {pattern!r}: not seen")
        self.left = self.left[found.end() :]

    def qmp(self, *_: str, **__: object) -> int:
        """The count."""
        self.count += 5_000_000
        return self.count


@pytest.mark.parametrize("said", ["0", "", "n/a"])
def test_stamp_that_is_not_there_is_said(said: str) -> None:
    board = Board(UserspaceTimestampMonotonic="2500000", FinishTimestampMonotonic=said)
    with pytest.raises(TargetError, match=r"board-7.*no FinishTimestampMonotonic"):
        bench_boot.stamps(cast(Target, board))


def test_stage_that_does_not_end_is_said() -> None:
    machine = Machine()
    machine.left = CONSOLE.partition("systemd")[0]
    with pytest.raises(TargetError, match="systemd"):
        bench_boot.stages(cast(Emulator, machine))


def test_user_space_counts_from_its_own_start() -> None:
    stamps = {"UserspaceTimestampMonotonic": "2500000", "FinishTimestampMonotonic": "12000000"}
    board = Board(**stamps, ActiveEnterTimestampMonotonic="9000000")
    found = bench_boot.stamps(cast(Target, board))
    assert found == {"boot_kernel_s": 2.5, "boot_userspace_s": 9.5, "boot_to_service_s": 9.0}


def test_stages_end_in_order_each_with_its_own_instructions() -> None:
    assert bench_boot.stages(cast(Emulator, Machine())) == dict.fromkeys(bench_boot.INSTRUCTIONS, 5.0)


def test_figures_are_known_to_the_bench_and_those_in_seconds_also_for_a_real_board() -> None:
    assert bench.chosen("boot_kernel_minsn", Choice()) == [bench_boot.GROUPS[0]]
    assert bench.chosen("boot_userspace_s", Choice().update(host="board-7")) == [bench_boot.GROUPS[1]]
