# SPDX-License-Identifier: MIT
"""The board beneath: RAUC, the booted slot, the health checks, the clock, the reboot."""

from __future__ import annotations

import configparser
import contextlib
import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from field_update import damage, environment
from field_update.state import write_atomically

REFUSED = Path("/run/field-update/refused")
SCRIPT = Path("/run/field-update/environment")
TREE_UNUSED = (
    "the boot script does not use the slot's hash tree (valid: one of this version, ./inv deploy --boot-loader)"
)
DAMAGE = Path("/run/field-update/damage")  # what the last whole reading found
MOUNT = Path("/run/field-update/other-slot")
RELEASE = "usr/share/cyclone-capture/release.json"
HEALTH = Path("/usr/lib/field-update/health.d")
CHECK_SECONDS = 60
SETTLE_SECONDS = 180
COMMAND_SECONDS = 60
SAID_CHARACTERS = 1000
JOURNAL_LINES = 400


class Failure(Exception):
    """Something on the board did not work; the message is for a person."""


class Check(NamedTuple):
    """One health check's verdict and what it said."""

    name: str
    passed: bool
    said: str


class System:
    """What `commands` needs from the board; the tests give it another one."""

    def booted(self) -> str:
        """Name of the booted slot, or an empty text."""
        return booted_slot(Path("/proc/cmdline").read_text(encoding="utf-8"))

    def other(self, booted: str) -> str:
        """Name of the slot that is not booted. Raises Failure."""
        return other_slot(self._slots, booted)

    def device(self, name: str) -> str:
        """Block device of slot `name`. Raises Failure."""
        return slot_device(self._slots, name)

    @functools.cached_property
    def _slots(self) -> str:
        """RAUC's status, asked for once: which slots there are does not change while a command runs."""
        return output(["rauc", "status", "--output-format=json"])

    def version_of(self, name: str) -> str:
        """Version of the system in slot `name`, which is not booted. Raises Failure: it holds none."""
        MOUNT.mkdir(parents=True, exist_ok=True)
        try:
            output(["mount", "-o", "ro,noload", "-t", "ext4", self.device(name), str(MOUNT)])
        except Failure as failure:
            raise Failure(
                f"slot {name} holds no system (valid: when an upgrade has been installed): {failure}"
            ) from failure
        try:
            return str(json.loads((MOUNT / RELEASE).read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(f"slot {name} holds no system: {error}") from error
        finally:
            output(["umount", str(MOUNT)])

    def running(self) -> str:
        """Version of the slot that runs, or an empty text."""
        try:
            return str(json.loads(Path("/", RELEASE).read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def is_good(self, name: str) -> bool:
        """Whether slot `name` has not been marked bad. Raises Failure."""
        return slot_fact(self._slots, name, "boot_status") == "good"

    def mark(self, verb: str, which: str) -> None:
        """`rauc status mark-<verb> <which>`: good, bad or active; booted or other. Raises Failure."""
        output(["rauc", "status", f"mark-{verb}", which])

    def install(self, url: str, say: Callable[[str], None]) -> None:
        """`rauc install <url>`, each line given to `say` as it comes. Raises Failure with the last lines."""
        command = ["rauc", "install", url]
        lines = []
        REFUSED.unlink(missing_ok=True)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:  # noqa: S603  # argv
            for raw in process.stdout or ():
                lines.append(raw.decode(errors="replace").rstrip())
                say(lines[-1])
        if process.returncode:
            # why our own handler refused it, RAUC does not know
            own = REFUSED.read_text(encoding="utf-8").strip() if REFUSED.exists() else ""
            raise Failure(f"rauc install: {own or _why(lines) or process.returncode}")

    def environment(self) -> environment.Finding:
        """What the canary finds in U-Boot's environment; that it cannot be read is wrong, too."""
        try:
            built = environment.BUILT.read_text(encoding="utf-8") if environment.BUILT.exists() else ""
            config, rauc = (path.read_text(encoding="utf-8") for path in (environment.FW_ENV, environment.RAUC))
            printed, slot = output(["fw_printenv"]), self.booted()
            found = environment.examine(printed, config, rauc, built, slot, environment.read_device)
            return found._replace(noted=[*found.noted, *([] if _tree_is_used() else [TREE_UNUSED])])
        except (Failure, OSError, ValueError, configparser.Error) as error:
            return environment.Finding([f"the environment cannot be examined: {error}"], [])

    def renew_environment(self) -> list[str]:
        """Bring what this version's U-Boot needs into the saved environment, at once; its names. Raises Failure."""
        try:
            built = environment.BUILT.read_text(encoding="utf-8")
            found = environment.renewal(environment.variables(output(["fw_printenv"])), built)
            if found:
                SCRIPT.write_text("".join(f"{name}={value}\n" for name, value in found.items()), encoding="utf-8")
                output(["fw_setenv", "--script", str(SCRIPT)])  # writes the copy that is not in use, as a whole
                if left := environment.renewal(environment.variables(output(["fw_printenv"])), built):
                    raise Failure(f"fw_setenv has not written {', '.join(left)} (valid: another card)")
        except (OSError, ValueError) as error:
            raise Failure(f"the environment cannot be renewed: {error}") from error
        return list(found)

    def damage(self) -> str:
        """What of the running slot is known to be damaged, or an empty text."""
        with contextlib.suppress(FileNotFoundError):
            return DAMAGE.read_text(encoding="utf-8").strip()
        return damage.found()

    def read_boot(self) -> None:
        """Read what U-Boot has loaded, so that `damage` tells of that, too."""
        if damage.beneath():
            damage.read_boot()

    def read_slot(self, gently: bool, limit: int) -> tuple[str, str]:
        """Read the running slot whole, or up to the `limit`-th damaged block. Raises Failure.

        What was read, and what of it is damaged (empty: nothing).
        """
        if not damage.beneath():
            return "the root is not read through a hash tree: nothing to check it against", ""
        try:
            size, result = damage.read_slot(gently, limit)
            text = f"the slot is damaged: {result}" if result else ""
            if text:
                write_atomically(DAMAGE, f"{text}\n")
            else:
                DAMAGE.unlink(missing_ok=True)
        except OSError as error:
            raise Failure(f"the slot cannot be read: {error}") from error
        return f"{size} bytes of the slot are what was installed", text

    def settle(self) -> str:
        """Wait until all units have been started; why they were not in time, or an empty text."""
        command = ["systemctl", "is-system-running", "--wait"]
        try:
            subprocess.run(command, timeout=SETTLE_SECONDS, check=False, capture_output=True)  # noqa: S603  # argv
        except subprocess.TimeoutExpired:
            return f"the system was not up after {SETTLE_SECONDS} s"
        return ""

    def health(self) -> list[Check]:
        """Verdicts of all health checks."""
        return run_checks(HEALTH, CHECK_SECONDS)

    def journal(self) -> str:
        """The end of this boot's journal. Raises Failure."""
        return output(
            ["journalctl", "--boot", "--no-pager", "--output=short-monotonic", f"--lines={JOURNAL_LINES}"], 20
        )

    def uptime(self) -> float:
        """Seconds since power-on; the boards have no clock that survives it."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> float:
        """The clock's time, in seconds since 1970."""
        return time.time()

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)

    def reboot(self) -> None:
        """Begin a reboot."""
        os.sync()
        output(["systemctl", "--no-block", "reboot"])


def _tree_is_used() -> bool:
    """Whether the root is read through its hash tree, if it has one."""
    return damage.beneath() is not None or not damage.MARK.exists()


def booted_slot(command_line: str) -> str:
    """Value of `rauc.slot=` in a kernel command line, or an empty text."""
    found = [word.removeprefix("rauc.slot=") for word in command_line.split() if word.startswith("rauc.slot=")]
    return found[-1] if found else ""


def other_slot(status: str, booted: str) -> str:
    """Name of the other slot from RAUC's status in JSON. Raises Failure."""
    try:
        slots = [slot for entry in json.loads(status)["slots"] for slot in entry.values()]
        names = [slot["bootname"] for slot in slots if slot.get("bootname")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"rauc status says nothing that can be used: {error}") from error
    others = [name for name in names if name != booted]
    if booted not in names or len(others) != 1:
        raise Failure(f"rauc knows the slots {', '.join(names) or '(none)'}; booted is {booted}: no single other one")
    return str(others[0])


def slot_device(status: str, name: str) -> str:
    """Block device of slot `name` from RAUC's status in JSON. Raises Failure."""
    return slot_fact(status, name, "device")


def slot_fact(status: str, name: str, fact: str) -> str:
    """What RAUC's status in JSON says of slot `name`, by its key there. Raises Failure."""
    try:
        slots = [slot for entry in json.loads(status)["slots"] for slot in entry.values()]
        found = [str(slot[fact]) for slot in slots if slot.get("bootname") == name]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"rauc status says nothing that can be used: {error}") from error
    if len(found) != 1:
        raise Failure(f"rauc knows {len(found)} slots {name} (valid: one)")
    return found[0]


def _why(lines: Sequence[str]) -> str:
    """RAUC's reason among what `rauc install` printed."""
    reasons = [line.partition(":")[2].strip() for line in lines if line.startswith("LastError:")]
    return reasons[-1] if reasons else "\n".join(lines[-5:])


def run_checks(folder: Path, seconds: float) -> list[Check]:
    """Run every executable in `folder`, by name, each for at most `seconds`."""
    if not folder.is_dir():
        return []
    executable = [path for path in sorted(folder.iterdir()) if path.is_file() and os.access(path, os.X_OK)]
    return [_check(path, seconds) for path in executable]


def _check(path: Path, seconds: float) -> Check:
    try:
        process = subprocess.Popen(  # noqa: S603  # argv, no shell
            [str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that a check that hangs dies with its children
        )
    except OSError as error:
        return Check(path.name, False, f"cannot be started: {error}")
    with process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Check(path.name, False, f"did not end within {seconds:g} s")
    said = output.decode(errors="replace").strip()[-SAID_CHARACTERS:]
    return Check(path.name, process.returncode == 0, said or f"status {process.returncode}")


def output(command: Sequence[str], seconds: float = COMMAND_SECONDS) -> str:
    """What the command printed. Raises Failure: it failed, or took longer than `seconds`."""
    try:
        done = subprocess.run(  # noqa: S603  # argv, no shell
            command, timeout=seconds, check=False, capture_output=True, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {(done.stderr or done.stdout).strip() or done.returncode}")
    return done.stdout
