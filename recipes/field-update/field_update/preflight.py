# SPDX-License-Identifier: MIT
"""What keeps this board from taking an upgrade now, each reason with what would be valid; looked at before the upload.

State (a trial is under way), the other slot's size, the version, room on `/data` for the state, the clock (a signature
is checked against it) and, where the board can tell, its power. Nothing is changed.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from field_update import admission, decide
from field_update.state import State
from field_update.system import Failure, System
from field_update.version import older

DATA_BYTES = 1 << 20
SECTOR_BYTES = 512
BATTERY_PERCENT = 30


class Places(NamedTuple):
    """Where the board's facts are; tests have them elsewhere."""

    data: Path = Path("/data")
    release: Path = admission.RELEASE
    epoch: Path = Path("/usr/lib/clock-epoch")
    blocks: Path = Path("/sys/class/block")
    power: Path = Path("/sys/class/power_supply")
    sensors: Path = Path("/sys/class/hwmon")


PLACES = Places()


class Offer(NamedTuple):
    """What is to be installed: version, size of the slot's file system in bytes (0: not known), older is allowed."""

    version: str = ""
    size: int = 0
    downgrade: bool = False


def refusals(system: System, state: State, offer: Offer, now: float, places: Places = PLACES) -> list[str]:
    """All reasons; empty when the board is ready. `now` is the clock's time, in seconds since 1970."""
    found = [_state(system, state), _slot(system, offer.size, places), _version(offer, places)]
    found += [_data(places.data), _clock(now, places.epoch), *_power(places)]
    return [reason for reason in found if reason]


def resources(places: Places = PLACES) -> list[str]:
    """Those of the reasons that RAUC need not be asked for: it is busy when its handlers ask."""
    return [reason for reason in (_data(places.data), *_power(places)) if reason]


def _state(system: System, state: State) -> str:
    return decide.may_install(state, system.booted())


def _slot(system: System, wanted: int, places: Places) -> str:
    try:
        device = system.device(system.other(system.booted()))
        size = int((places.blocks / Path(device).name / "size").read_text(encoding="ascii")) * SECTOR_BYTES
    except Failure as failure:
        return str(failure)
    except (OSError, ValueError) as error:
        return f"the size of the other slot is not known: {error}"
    if wanted > size:
        return f"the slot's content has {wanted} bytes, {device} has {size} (valid: content that fits)"
    return ""


def _version(offer: Offer, places: Places) -> str:
    if not offer.version or offer.downgrade:
        return ""
    try:
        running = str(json.loads(places.release.read_text(encoding="utf-8"))["version"])
        return admission.downgrade(running, offer.version) if older(offer.version, running) else ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"the offered version cannot be compared with the running one: {error}"


def _data(data: Path) -> str:
    try:
        facts = os.statvfs(data)
    except OSError as error:
        return f"{data}: {error.strerror}"
    if facts.f_flag & os.ST_RDONLY:
        return f"{data} is read-only (valid: a card that can be written; look into the kernel's log)"
    if (free := facts.f_bavail * facts.f_frsize) < DATA_BYTES:
        return f"{data} has {free} bytes free (valid: at least {DATA_BYTES}; delete recordings)"
    return ""


def _clock(now: float, epoch: Path) -> str:
    earliest = epoch.stat().st_mtime if epoch.exists() else 0.0
    if now < earliest:
        said, least = (datetime.datetime.fromtimestamp(t, datetime.UTC).date() for t in (now, earliest))
        return f"the clock says {said}: no signature is valid then (valid: {least} or later; timedatectl set-time)"
    return ""


def _power(places: Places) -> Iterator[str]:
    for supply in sorted(places.power.glob("*")):
        level = _text(supply / "capacity")
        if _text(supply / "status") == "Discharging" and level.isdigit() and int(level) < BATTERY_PERCENT:
            yield f"{supply.name} is at {level} % and discharging (valid: at least {BATTERY_PERCENT} %, or mains)"
    for alarm in sorted(places.sensors.glob("*/in*_lcrit_alarm")):
        if _text(alarm) == "1":
            yield f"{alarm.parent.name} reports a supply voltage that is too low (valid: a sound power supply)"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
