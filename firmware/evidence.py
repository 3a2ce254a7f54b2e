# SPDX-License-Identifier: MIT
"""Evidence: what a board says of itself when a case has failed, gathered over SSH, and whether it was the board at all.

Nothing is changed on the board and nothing stays there. What can't be gathered is said in its place: a failed case must
not fail a second time. Each text is the end of what was said, at most `LIMIT` characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firmware.errors import FirmwareError, TargetError
from firmware.ssh import Target, Unreachable
from firmware.verdict import Fault

LIMIT = 16_000
SECONDS = 30.0
# debugfs is not mounted on a board; here it is for the command alone
RING = "mount -t debugfs debugfs /sys/kernel/debug && cd /sys/kernel/debug && grep -rH . capture0 | tail -n 100"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "units": ("systemctl", "--failed", "--no-pager"),
    "journal": ("journalctl", "--boot", "--lines=200", "--no-pager", "--output=short-monotonic"),
    "kernel log": ("sh", "-c", "dmesg | tail -n 100"),
    "service": ("capturectl", "status", "--json"),
    "ring": ("unshare", "--mount", "sh", "-c", RING),
    "slots": ("sh", "-c", "field-update status; fw_printenv BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; cat /proc/cmdline"),
    "resources": ("sh", "-c", "uptime; free -k; df -k"),
}
# What a console shows when the board, and not the way to it, is at fault.
BOARD_GONE = ("Kernel panic", "U-Boot SPL", "reboot: ", "Oops", "watchdog: BUG")


def gather(target: Target, console: Path | None) -> dict[str, str]:
    """Name -> what was said; `console` is the log of the board's UART, where there is one."""
    found = {"console": tail(console)} if console else {}
    for name, command in COMMANDS.items():
        try:
            done = target.run(command, sudo=True, timeout=SECONDS)
        except FirmwareError as error:
            found[name] = f"not to be had: {error}"
            if isinstance(error, Unreachable):
                return found
        else:
            found[name] = (done.stdout + done.stderr)[-LIMIT:] or "(nothing)"
    return found


def tail(console: Path) -> str:
    """End of a console's log."""
    try:
        with console.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - LIMIT))
            return stream.read().decode(errors="replace").replace("\r", "")
    except OSError as error:
        return f"not to be had: {error}"


def fault(error: BaseException, target: Target, boot_id: str, since: str) -> tuple[Fault, str]:
    """Whose fault a failure is, and why it is thought so.

    `boot_id` is of the boot that was tested, `since` what the console has said since the case began. A board that does
    not answer, with nothing on its console, may also hang or have no power: that is said.
    """
    if isinstance(error, AssertionError):
        return "board", ""
    if not isinstance(error, Unreachable):
        return (
            ("board", "") if isinstance(error, TargetError) else ("suite", f"{type(error).__name__} in the test itself")
        )
    if mark := next((mark for mark in BOARD_GONE if mark in since), ""):
        return "board", f"its console says {mark!r}"
    try:
        target.close()
        now = target.boot_id()
    except TargetError:
        return "link", "the board does not answer, and its console shows no cause: cable, power, or a hang"
    if now != boot_id:
        return "board", "it answers again, from another boot: it has rebooted by itself"
    return "link", "it answers again, from the same boot: the connection broke, the board did not"
