# SPDX-License-Identifier: MIT
"""Software that hangs, ends or starts over: the watchdog bites in its time, and the reset manager says why.

At U-Boot's stage with `-icount`: while both CPUs hang nothing executes, so the emulator goes from one timer to the
next, and the watchdog's 86 s pass in no time. With Linux in real time, on one board, one end after the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import deploy
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.faults import Faults
from tests.emulated import boot_card, waiting
from tests.emulated.conftest import Linux
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

SECOND = 1_000_000_000
RSTMGR_STAT = 0xFFD05000
POWER_ON, SOFTWARE_COLD, SOFTWARE_WARM, WATCHDOG = 1 << 0, 1 << 4, 1 << 10, 1 << 14
LONGEST = (1 << 31) * 40 / SECOND  # TOP 15, at 25 MHz: 85.9 s
PETTED_EVERY = 1.1  # seconds: U-Boot's cyclic service, at the latest
SYSTEMD_SECONDS = (1 << 30) * 40 / SECOND  # RuntimeWatchdogSec=30s: the next that the hardware has is 42.9 s
BOOT_SECONDS = 300.0
END_SECONDS = 120.0
MEASURED = 2.0  # seconds


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    machine = Emulator(boot_card.BOARD, boot_card.make(tmp_path / "card.img"), tmp_path / "run")
    yield machine
    machine.stop()


def reset_reasons(prompt: Prompt) -> int:
    return int(prompt.run(f"md.l {RSTMGR_STAT:#x} 1").split()[1], 16)


def reset_causes(emulator: Emulator) -> int:
    """The same, while Linux runs: by QEMU's monitor."""
    said = str(emulator.qmp("human-monitor-command", command_line=f"xp /1wx {RSTMGR_STAT:#x}"))
    return int(said.split()[1], 16)


def host_seconds(emulator: Emulator) -> float:
    """What the emulator has cost the host, in seconds of one core."""
    user, system = Path(f"/proc/{emulator.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def soon(linux: Linux, *command: str) -> None:
    """Let the board do what ends it, after its answer to this has come."""
    linux.target.output(["systemd-run", "--on-active=1", *command], sudo=True)
    linux.target.close()


def test_unknown_property_is_refused(emulator: Emulator) -> None:
    emulator.start()
    with pytest.raises(TargetError, match="hang-for-good"):
        Faults(emulator).processor.set("hang-for-good", True)
    with pytest.raises(TargetError, match="halted"):
        Faults(emulator).processor.set("halted", True)


def test_watchdog_that_is_petted_does_not_bite_and_u_boot_says_which_it_is(emulator: Emulator) -> None:
    emulator.start()
    prompt, watchdog = Prompt(emulator), Faults(emulator).watchdog
    assert "watchdog@ffd02000 (designware_wdt)" in prompt.run("wdt list")
    prompt.run("wdt dev watchdog@ffd02000")
    prompt.run("wdt start 1000")
    before = watchdog.deadline
    prompt.run("sleep 4")
    assert watchdog.bites == 0
    assert watchdog.deadline - before > 3 * SECOND
    assert reset_reasons(prompt) == POWER_ON


def test_hang_in_u_boot_ends_with_the_watchdogs_bite_in_its_time(emulator: Emulator) -> None:
    emulator.start(icount=3)
    prompt, faults = Prompt(emulator), Faults(emulator)
    prompt.run("version")
    began = faults.watchdog.deadline
    faults.processor.hang()
    prompt.enter()
    assert not faults.processor.hangs
    assert faults.watchdog.bites == 1
    assert faults.watchdog.last_bite >= began
    assert faults.watchdog.last_bite - began <= PETTED_EVERY * SECOND
    assert reset_reasons(prompt) == POWER_ON | WATCHDOG
    assert "watchdog L4WD0 has expired: warm reset" in emulator.log.read_text()


def test_shorter_time_is_kept_and_a_cpu_that_recovers_is_not_bitten(emulator: Emulator) -> None:
    emulator.start()
    prompt, faults = Prompt(emulator), Faults(emulator)
    prompt.run("wdt dev watchdog@ffd02000")
    prompt.run("wdt start 2000")
    faults.processor.hang()
    assert faults.processor.hangs
    faults.processor.recover()
    assert "U-Boot" in prompt.run("version")
    assert faults.watchdog.bites == 0
    began = faults.watchdog.deadline
    faults.processor.hang()
    prompt.enter()
    assert 0 <= faults.watchdog.last_bite - began <= PETTED_EVERY * SECOND
    assert reset_reasons(prompt) & WATCHDOG


def test_hang_outlives_a_pause_of_the_emulator(emulator: Emulator) -> None:
    emulator.start(icount=3)
    prompt, faults = Prompt(emulator), Faults(emulator)
    prompt.run("version")
    emulator.qmp("stop")
    faults.processor.hang()
    emulator.qmp("cont")
    prompt.enter()
    assert faults.watchdog.bites == 1


def test_reset_of_the_watchdog_alone_stops_it(emulator: Emulator) -> None:
    """As Linux does before it halts: reset manager, PERMODRST, bit 6."""
    emulator.start()
    prompt, watchdog = Prompt(emulator), Faults(emulator).watchdog
    prompt.run("version")
    assert watchdog.deadline > 0
    held = int(prompt.run("md.l 0xffd05014 1").split()[1], 16)
    prompt.run(f"mw.l 0xffd05014 {held | 1 << 6:#x}")
    assert watchdog.deadline == 0
    prompt.run("mw.l 0xffd02000 1")
    assert watchdog.deadline == 0
    prompt.run(f"mw.l 0xffd05014 {held:#x}")
    prompt.run("mw.l 0xffd02000 1")
    assert watchdog.deadline > 0


def test_software_reset_in_u_boot_is_cold_and_says_so(emulator: Emulator) -> None:
    emulator.start()
    prompt = Prompt(emulator)
    prompt.send("reset", until=r"U-Boot SPL \d+")
    prompt.enter()
    assert reset_reasons(prompt) == SOFTWARE_COLD


@pytest.fixture
def linux(linux: Linux) -> Linux:
    """The board, its boot judged: one that ends before has used up an attempt of the slot, and there are three."""
    deploy.verdict(linux.target)
    return linux


def test_linux_that_hangs_is_bitten_and_boots_again(linux: Linux) -> None:
    boot, watchdog = linux.target.boot_id(), linux.faults.watchdog
    assert linux.target.output(["cat", "/sys/class/watchdog/watchdog0/timeout"]) == "42\n"
    bites, deadline = watchdog.bites, watchdog.deadline
    linux.faults.processor.hang()
    assert linux.target.wait_for_reboot(boot, BOOT_SECONDS) != boot
    assert watchdog.bites == bites + 1
    assert -SYSTEMD_SECONDS * SECOND <= deadline - watchdog.last_bite <= 0
    assert not linux.faults.processor.hangs


def test_linux_that_panics_boots_again_without_the_watchdog(linux: Linux) -> None:
    boot, bites = linux.target.boot_id(), linux.faults.watchdog.bites
    soon(linux, "sh", "-c", "echo c > /proc/sysrq-trigger")
    linux.emulator.wait_console("Rebooting in 5 seconds", END_SECONDS)
    assert linux.target.wait_for_reboot(boot, BOOT_SECONDS) != boot
    assert linux.faults.watchdog.bites == bites


@pytest.mark.slow
def test_linux_without_its_init_is_bitten_and_boots_again(linux: Linux) -> None:
    """systemd catches the signal, and freezes without a word on the console: nobody pets the watchdog."""
    boot, bites = linux.target.boot_id(), linux.faults.watchdog.bites
    soon(linux, "kill", "-SEGV", "1")
    assert linux.target.wait_for_reboot(boot, BOOT_SECONDS) != boot
    assert linux.faults.watchdog.bites == bites + 1


def test_linux_reboots_as_it_is_told_and_the_boot_rom_tells_warm_from_cold(linux: Linux) -> None:
    boot, bites = linux.target.boot_id(), linux.faults.watchdog.bites
    starts = linux.emulator.log.read_text().count("\n")
    linux.target.output(["sh", "-c", "echo warm > /sys/kernel/reboot/mode"], sudo=True)
    soon(linux, "systemctl", "reboot")
    linux.emulator.wait_console("reboot: Restarting system", END_SECONDS)
    assert linux.target.wait_for_reboot(boot, BOOT_SECONDS) != boot
    assert linux.faults.watchdog.bites == bites
    said = linux.emulator.log.read_text().splitlines()[starts:]
    assert [line.partition("boot ROM: ")[2] for line in said] == ["warm reset, running what is in the on-chip RAM"]
    assert reset_causes(linux.emulator) & SOFTWARE_WARM


def test_linux_that_powers_off_halts_with_its_watchdog_stopped(linux: Linux) -> None:
    """The board has no power switch; systemd has stopped the watchdog by then. So it stays off until a reset."""
    bites = linux.faults.watchdog.bites
    assert not linux.faults.processor.halted
    soon(linux, "systemctl", "poweroff")
    linux.emulator.wait_console("reboot: Power off not available: System halted instead", END_SECONDS)
    waiting.until(lambda: linux.faults.processor.halted, END_SECONDS)
    assert linux.faults.watchdog.deadline == 0
    assert linux.faults.watchdog.bites == bites
    began = time.monotonic(), host_seconds(linux.emulator)
    waiting.until(lambda: time.monotonic() - began[0] > MEASURED, END_SECONDS)
    assert host_seconds(linux.emulator) - began[1] < MEASURED / 2, "two CPUs that loop leave the host's cores alone"
    linux.emulator.qmp("system_reset")
    linux.emulator.wait_console(r"U-Boot SPL \d+", END_SECONDS)
    assert not linux.faults.processor.halted
