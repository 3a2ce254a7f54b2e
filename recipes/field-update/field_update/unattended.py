# SPDX-License-Identifier: MIT
"""An upgrade that another program has begun, with nobody there: it is a trial all the same.

hawkBit's client calls RAUC itself, past `field-update install`. Where a recipe brings PERMISSION, RAUC's handlers make
a trial of it: `begin` (pre-install) refuses what `field-update` would refuse and records the trial before anything is
written; `end` (post-install) records that the slot is to be tried, and reboots when the client has had time to say so
to its server. What commits the trial is the business of that recipe; if nothing does, the board goes back at the
deadline. Without PERMISSION nothing is done. RAUC answers no question while its handlers run, so the slot is taken from
what it hands over (RAUC documentation, "Handler Interface").

`unattended.json` beside the state says which slot and version were installed so; an installation by `field-update`
removes it.
"""

from __future__ import annotations

import configparser
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from field_update import admission, decide, preflight
from field_update.state import INSTALLED, INSTALLING, Store, Trial, write_atomically
from field_update.system import booted_slot

DEADLINE_SECONDS = 1800
REBOOT_SECONDS = 30
REBOOT = ("systemd-run", f"--on-active={REBOOT_SECONDS}", "--unit=unattended-reboot", "systemctl", "reboot")


class Places(NamedTuple):
    """Where things are; tests have them elsewhere."""

    permission: Path = Path("/usr/lib/field-update/unattended")
    data: Path = Path("/data/field-update")
    run: Path = Path("/run/field-update")
    command_line: Path = Path("/proc/cmdline")
    rauc: Path = Path("/etc/rauc/system.conf")
    ready: preflight.Places = preflight.PLACES

    @property
    def mark(self) -> Path:
        """What was installed so."""
        return self.data / "unattended.json"


PLACES = Places()


class Mark(NamedTuple):
    """A slot and the version that was installed into it without a person."""

    slot: str
    version: str


def begin(environment: Mapping[str, str], bundle: Path, places: Places = PLACES) -> str:
    """Record the trial of the mounted `bundle`; why the upgrade is refused, or an empty text."""
    if not places.permission.exists():
        return ""
    store = Store(places.data)
    state, problem = store.load()
    if _at_work(places.run):
        if state.trial and state.trial.phase == INSTALLING:  # `field-update install` itself, and it has recorded that
            places.mark.unlink(missing_ok=True)
            return ""
        return "field-update is at work (valid: again when it has ended)"
    booted = booted_slot(places.command_line.read_text(encoding="utf-8"))
    reasons = [problem, decide.may_install(state, booted), _environment(places.run), *preflight.resources(places.ready)]
    if found := "; ".join(filter(None, reasons)):
        return found
    try:
        _require_compatible(bundle / admission.MANIFEST, places.rauc)
        mark = Mark(_target(environment, booted), admission.version_of(bundle / admission.MANIFEST))
        write_atomically(places.mark, json.dumps(mark._asdict()) + "\n")
        store.save(state._replace(trial=Trial(mark.slot, mark.version, DEADLINE_SECONDS, INSTALLING)))
    except (OSError, ValueError, configparser.Error) as error:
        return f"its trial cannot be recorded: {error}"
    return ""


def end(places: Places = PLACES) -> bool:
    """Record that the slot is to be tried; whether it is one of an upgrade that another program has begun."""
    mark = marked(places)
    if mark is None or not places.permission.exists():
        return False
    store = Store(places.data)
    # anew, and not changed: a `field-update install` that RAUC has turned away meanwhile has taken the trial away
    trial = Trial(mark.slot, mark.version, DEADLINE_SECONDS, INSTALLED)
    store.save(store.load()[0]._replace(trial=trial))
    return True


def marked(places: Places = PLACES) -> Mark | None:
    """What was installed so last, or None."""
    try:
        raw = json.loads(places.mark.read_text(encoding="utf-8"))
        return Mark(str(raw["slot"]), str(raw["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def main(places: Places = PLACES, run: Callable[..., object] = subprocess.run) -> int:
    """The post-install handler; its exit status. Without a reboot from here the next one begins the trial."""
    try:
        if end(places):
            run(REBOOT, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"post-install: {error}", file=sys.stderr)
        return 1
    return 0


def _require_compatible(manifest: Path, system: Path) -> None:
    """Raise ValueError when RAUC will refuse the bundle: it compares later, and the trial would stand till the boot."""
    names = []
    for path, section in ((manifest, "update"), (system, "system")):
        found = configparser.ConfigParser(interpolation=None, strict=False)
        found.read_string(path.read_text(encoding="utf-8"))
        names.append(found.get(section, "compatible"))
    if names[0] != names[1]:
        raise ValueError(f"it is for {names[0]} (valid: {names[1]})")


def _target(environment: Mapping[str, str], booted: str) -> str:
    numbers = environment.get("RAUC_TARGET_SLOTS", "").split()
    names = [environment.get(f"RAUC_SLOT_BOOTNAME_{number}", "") for number in numbers]
    if len(names) != 1 or names[0] in ("", booted):
        raise ValueError(f"RAUC installs into {', '.join(names) or 'no slot'} (valid: the one slot that is not booted)")
    return names[0]


def _environment(run: Path) -> str:
    """What the canary of this boot has found (`environment.py`), or an empty text."""
    try:
        wrong = json.loads((run / "boot.json").read_text(encoding="utf-8"))["environment"]["wrong"]
        return "; ".join(f"environment: {text}" for text in wrong)
    except (OSError, ValueError, KeyError, TypeError):
        return "this boot has not been judged yet (valid: when field-update status says so)"


def _at_work(run: Path) -> bool:
    """Whether a `field-update` that changes something holds its lock."""
    run.mkdir(mode=0o755, exist_ok=True)
    descriptor = os.open(run / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
