# SPDX-License-Identifier: MIT
"""An upgrade that another program has begun: what is refused, then that it is a trial at every moment."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware import paths

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import admission, decide, preflight, unattended
from field_update.state import INSTALLED, INSTALLING, Event, State, Store, Trial
from field_update.unattended import Mark, Places

pytestmark = pytest.mark.unit
RAUC = {"RAUC_TARGET_SLOTS": "2", "RAUC_SLOT_BOOTNAME_1": "A", "RAUC_SLOT_BOOTNAME_2": "B"}
TRIAL = Trial("B", "2.0.0", unattended.DEADLINE_SECONDS, INSTALLING)


class Device:
    """A board that runs slot A, judged and sound, and a mounted bundle of version 2.0.0."""

    def __init__(self, folder: Path) -> None:
        """All of it below `folder`."""
        self.bundle = folder / "bundle"
        (folder / "data").mkdir()
        (folder / "run").mkdir()
        self.bundle.mkdir()
        (self.bundle / admission.MANIFEST).write_text("[update]\ncompatible=x\nversion=2.0.0\n")
        (folder / "permission").touch()
        (folder / "cmdline").write_text("console=ttyS0 rauc.slot=A\n")
        self.judged([])
        (folder / "system.conf").write_text("[system]\ncompatible=x\nbootloader=uboot\n")
        ready = preflight.Places(data=folder, power=folder / "none", sensors=folder / "none")
        self.places = Places(
            folder / "permission", folder / "data", folder / "run", folder / "cmdline", folder / "system.conf", ready
        )
        self.store = Store(folder / "data")

    def judged(self, wrong: list[str]) -> None:
        """What the canary of this boot has found."""
        boot = {"action": "keep", "health": "none", "environment": {"wrong": wrong, "noted": []}}
        (self.bundle.parent / "run" / "boot.json").write_text(json.dumps(boot))

    def begin(self, environment: dict[str, str] = RAUC) -> str:
        """RAUC's pre-install handler, behind its own checks."""
        return unattended.begin(environment, self.bundle, self.places)

    @property
    def trial(self) -> Trial | None:
        """What is on trial."""
        return self.store.load()[0].trial


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_without_permission_nothing_is_done(device: Device) -> None:
    device.places.permission.unlink()
    assert device.begin({}) == ""
    assert not unattended.end(device.places)
    assert (device.trial, unattended.marked(device.places)) == (None, None)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "RAUC installs into no slot"),
        (RAUC | {"RAUC_TARGET_SLOTS": "1"}, "RAUC installs into A"),
        (RAUC | {"RAUC_TARGET_SLOTS": "1 2"}, "RAUC installs into A, B"),
        (RAUC | {"RAUC_TARGET_SLOTS": "3"}, r"valid: the one slot that is not booted"),
    ],
)
def test_another_slot_than_the_other_is_refused(device: Device, environment: dict[str, str], said: str) -> None:
    assert said in device.begin(environment)
    assert device.trial is None


def on_trial(device: Device) -> None:
    device.store.save(State(Trial("A", "1.0.0", 60, INSTALLED)))


def broken(device: Device) -> None:
    device.store.path.write_text("{")


def no_boot(device: Device) -> None:
    (device.places.run / "boot.json").unlink()


def no_slot(device: Device) -> None:
    device.places.command_line.write_text("quiet\n")


def another_board(device: Device) -> None:
    device.places.rauc.write_text("[system]\ncompatible=y\n")


def no_version(device: Device) -> None:
    (device.bundle / admission.MANIFEST).write_text("[update]\ncompatible=x\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (on_trial, "slot A is on trial"),
        (broken, "state.json cannot be used"),
        (no_boot, "this boot has not been judged yet"),
        (lambda device: device.judged(["other place"]), "environment: other place"),
        (no_slot, "names no slot"),
        (another_board, "its trial cannot be recorded: it is for x (valid: y)"),
        (no_version, "its trial cannot be recorded: No option 'version'"),
    ],
)
def test_a_board_that_is_not_ready_refuses(device: Device, make: Callable[[Device], None], said: str) -> None:
    make(device)
    before = device.store.load()[0]
    assert said in device.begin()
    assert device.store.load()[0] == before


def test_nobody_but_its_owner_can_hold_the_lock(device: Device) -> None:
    device.begin()
    assert (device.places.run / "lock").stat().st_mode & 0o777 == 0o600


def test_while_field_update_is_at_work(device: Device) -> None:
    with (device.places.run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert device.begin() == "field-update is at work (valid: again when it has ended)"
        device.places.mark.write_text(json.dumps(Mark("B", "1.9.0")._asdict()))
        own = State(Trial("B", "2.0.0", 60, INSTALLING))
        device.store.save(own)
        assert device.begin() == ""
        assert device.store.load()[0] == own
        assert unattended.marked(device.places) is None, "what field-update installs is for a person to commit"
        assert not unattended.end(device.places)


def test_the_trial_is_recorded_before_anything_is_written(device: Device) -> None:
    last = Event("committed", "A", "1.0.0", "")
    device.store.save(State(None, last))
    assert device.begin() == ""
    assert device.store.load()[0] == State(TRIAL, last)
    assert unattended.marked(device.places) == ("B", "2.0.0")
    # the power goes now: before RAUC makes B bootable, and after it
    state = device.store.load()[0]
    assert decide.at_boot(state, "", "A").action == decide.FELL_BACK
    assert decide.at_boot(state, "", "B").action == decide.TRY


def test_after_the_installation_the_board_reboots(device: Device) -> None:
    ran: list[object] = []
    device.begin()
    assert unattended.main(device.places, lambda *argv, **_options: ran.append(argv)) == 0
    assert device.trial == TRIAL._replace(phase=INSTALLED)
    assert ran == [(unattended.REBOOT,)]


def test_a_reboot_that_cannot_be_begun_is_told(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_argv: object, **_options: object) -> None:
        raise subprocess.CalledProcessError(1, "systemd-run")

    device.begin()
    assert unattended.main(device.places, fail) == 1
    assert "systemd-run" in capsys.readouterr().err
    assert device.trial == TRIAL._replace(phase=INSTALLED)


def test_an_installation_that_was_turned_away_meanwhile_changes_nothing(device: Device) -> None:
    device.begin()
    failed = Event("install-failed", "B", "3.0.0", "rauc install: Already processing a different method")
    device.store.save(State(None, failed))  # as `field-update install` does
    assert unattended.end(device.places)
    assert device.store.load()[0] == State(TRIAL._replace(phase=INSTALLED), failed)


def test_handler_says_why(device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on_trial(device)
    (device.bundle / admission.DOWNGRADE).touch()

    def also(environment: object, bundle: Path) -> str:
        assert environment == place
        return unattended.begin(place, bundle, device.places)

    place = {**RAUC, "RAUC_BUNDLE_MOUNT_POINT": str(device.bundle)}
    assert admission.main(place, tmp_path / "refused", also) == 1
    assert "slot A is on trial" in capsys.readouterr().err
    assert "slot A is on trial" in (tmp_path / "refused").read_text()
    device.store.save(State())
    assert admission.main(place, tmp_path / "refused", also) == 0
    assert device.trial == TRIAL
