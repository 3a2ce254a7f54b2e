# SPDX-License-Identifier: MIT
"""A slot on trial in which what would judge it is broken: the board goes back all the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware import paths, tool
from tests.unit.slotted_board import SlottedBoard

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update.commands import Commands
from field_update.state import INSTALLED, Event, State, Store, Trial, as_json
from field_update.system import Check, Failure, run_checks

pytestmark = pytest.mark.unit
FOLDER = paths.ROOT / "recipes" / "field-update"
TRIAL = Trial("B", "2.0", 1800, INSTALLED)
BOOT = "field-update-boot has failed"


# ---- RAUC is broken ----


class WithoutRauc(SlottedBoard):
    """A board whose slot B cannot talk to RAUC."""

    def mark(self, verb: str, which: str) -> None:
        """Change U-Boot's order."""
        if self.slot == "B":
            raise Failure("rauc: no D-Bus")
        super().mark(verb, which)


def test_slot_that_cannot_be_marked_is_left_by_its_attempts(tmp_path: Path) -> None:
    said: list[str] = []
    board, store = WithoutRauc("B"), Store(tmp_path / "data")
    board.checks = [Check("10-units", False, "rauc.service failed")]
    store.save(State(TRIAL))
    for attempt in range(3):  # U-Boot's
        board.done = []
        Commands(board, tmp_path / "data", tmp_path / f"run-{attempt}", said.append).boot()
        assert board.done == ["reboot"]
    assert "not marked, another boot costs an attempt: rauc: no D-Bus" in said
    board.slot = "A"
    Commands(board, tmp_path / "data", tmp_path / "run", said.append).boot()
    assert store.load()[0] == State(None, Event("reverted", "B", "2.0", "health: 10-units: rauc.service failed"))


@pytest.mark.parametrize(("status", "said"), [(1, "rauc: no D-Bus"), (0, "status 0")])
def test_version_whose_rauc_does_not_answer_is_not_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    (tmp_path / "health.d").mkdir()
    shutil.copy(FOLDER / "health.d" / "20-rauc", tmp_path / "health.d")
    Shell(tmp_path).program(
        "rauc", f"[ $1 = status ] && echo slots && [ {status} = 0 ] || {{ echo '{said}' >&2; exit 1; }}"
    )
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert run_checks(tmp_path / "health.d", 10) == [Check("20-rauc", status == 0, said)]


# ---- field-update is broken, or never begins: when-undecided ----


@dataclass
class Shell:
    """A board as the script sees it: files below `root`, programs that are played in `bin`."""

    root: Path

    def file(self, path: str, text: str) -> None:
        """One of the board's files."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def program(self, name: str, text: str) -> None:
        """One that is played."""
        self.file(f"bin/{name}", f"#!/bin/sh\n{text}\n")
        (self.root / "bin" / name).chmod(0o755)

    def run(self, *words: str, result: str = "exit-code") -> str:
        """What the script says; nothing if it lets the boot be."""
        script = (FOLDER / "when-undecided").read_text()
        for place in ("/proc/", "/data/", "/run/", "/sys/"):
            script = script.replace(f" {place}", f" {self.root}{place}")
        self.file("script", script)
        facts = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "SERVICE_RESULT": result}
        done = subprocess.run(
            [tool.need("sh", "dash"), self.root / "script", *words],
            env=facts,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        asked = self.root / "asked"
        assert asked.exists() is bool(done.stdout)
        assert not done.stdout or asked.read_text() == "--no-block reboot\n"
        asked.unlink(missing_ok=True)
        return done.stdout.strip()

    def units(self, data: str = "inactive", boot: str = "inactive", jobs: str = "No jobs running.") -> None:
        """What systemctl says of the two services, and of jobs; it notes what else it is asked for."""
        self.program(
            "systemctl",
            f"""case "$*" in
            'is-active field-update-data.service') echo {data} ;;
            'is-active field-update-boot.service') echo {boot} ;;
            list-jobs) echo '{jobs}' ;;
            *) echo "$@" >>{self.root}/asked ;;
            esac""",
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Slot B runs, on trial; the data partition is mounted; no damage is known."""
    made = Shell(tmp_path)
    made.file("proc/cmdline", "console=ttyS0 ro rootwait rauc.slot=B quiet\n")
    made.file("proc/mounts", "/dev/dm-0 / ext4 ro 0 0\n/dev/mmcblk0p4 /data ext4 rw 0 0\n")
    made.file("data/field-update/state.json", json.dumps(as_json(State(TRIAL)), indent=2))
    made.file("sys/block/dm-0/slaves/mmcblk0p3/dev", "179:3\n")
    made.file("proc/uptime", "1200.41 2300.00\n")
    made.file("run/field-update/failures", "\n" * 4)
    made.program("dmesg", "echo '[    1.0] mmc0: new high speed card'")
    made.program("mount", "exit 32")
    made.units()
    return made


def test_trial_that_has_failed_five_times_ends(shell: Shell) -> None:
    assert shell.run() == f"{BOOT} five times (exit-code), and slot B is on trial: another boot"


def test_trial_that_may_still_be_judged_goes_on(shell: Shell) -> None:
    assert shell.run(result="success") == ""
    (shell.root / "run/field-update/failures").unlink()
    assert [shell.run() for _ in range(4)] == [""] * 4


def test_reboot_without_systemctl(shell: Shell) -> None:
    """As systemctl is broken too: the kernel is asked."""
    shell.program("systemctl", f'echo "$@" >{shell.root}/asked; exit 1')
    assert shell.run().endswith("another boot")
    assert (shell.root / "proc/sysrq-trigger").read_text() == "b\n"


@pytest.mark.parametrize(
    "state",
    [
        State(),
        State(TRIAL._replace(slot="A")),
        State(None, Event("committed", "B", "2.0", "")),
        State(TRIAL._replace(slot="A"), Event("reverted", "B", "2.0", "x")),
    ],
)
@pytest.mark.parametrize("words", [(), ("late",)])
def test_slot_that_is_not_on_trial_is_kept(shell: Shell, state: State, words: tuple[str, ...]) -> None:
    shell.file("data/field-update/state.json", json.dumps(as_json(state), indent=2))
    assert shell.run(*words) == ""


@pytest.mark.parametrize("slot", [TRIAL, None])
def test_damaged_slot_is_left_at_the_first_failure(shell: Shell, slot: Trial | None) -> None:
    shell.file("data/field-update/state.json", json.dumps(as_json(State(slot)), indent=2))
    shell.program("dmesg", "echo 'device-mapper: verity: 179:3: data block 7 is corrupted'")
    assert shell.run() == f"{BOOT} (exit-code), and the slot is damaged: another boot"


def test_damage_of_the_other_slot_is_no_reason(shell: Shell) -> None:
    shell.program("dmesg", "echo 'device-mapper: verity: 179:2: data block 7 is corrupted'")
    shell.file("run/field-update/failures", "")
    assert shell.run() == ""


@pytest.mark.parametrize("boot", ["", '{"action": "", "health": "pending"}'])
def test_trial_that_nothing_has_judged_ends(shell: Shell, boot: str) -> None:
    if boot:
        shell.file("run/field-update/boot.json", boot)
    assert shell.run("late") == "nothing has judged slot B, which is on trial: another boot"


@pytest.mark.parametrize("health", ["passed", "none"])
def test_boot_that_is_judged_is_let_be(shell: Shell, health: str) -> None:
    shell.file("run/field-update/boot.json", json.dumps({"action": "try", "health": health}))
    shell.file("proc/uptime", "90000.00 1.00\n")
    assert shell.run("late") == ""


@pytest.mark.parametrize(
    ("health", "data", "boot"),
    [
        ("running", "inactive", "failed"),
        ("failed", "inactive", "failed"),
        ("pending", "active", "active"),
        ("", "activating", "inactive"),
        ("", "active", "activating"),
    ],
)
def test_field_update_at_work_has_an_hour(shell: Shell, health: str, data: str, boot: str) -> None:
    if health:
        shell.file("run/field-update/boot.json", json.dumps({"action": "try", "health": health}))
    shell.units(data, boot)
    assert shell.run("late") == ""
    shell.file("proc/uptime", "3600.00 1.00\n")
    assert shell.run("late") == "nothing has judged slot B, which is on trial: another boot"


def without_data(shell: Shell, kept: str = "") -> None:
    """The data partition is not mounted; `mount` finds it if it holds what was `kept`."""
    shell.file("proc/mounts", "/dev/dm-0 / ext4 ro 0 0\n")
    (shell.root / "data/field-update/state.json").unlink()
    folder = shell.root / "run/undecided/field-update"
    save = f"mkdir -p {folder} && printf %s '{kept}' >{folder}/state.json && echo \"$@\" >{shell.root}/mounted"
    shell.program("mount", save if kept else "exit 32")
    shell.program("umount", f"rm -r {folder}")


def test_trial_that_cannot_mount_the_data_partition_ends(shell: Shell) -> None:
    without_data(shell, json.dumps(as_json(State(TRIAL)), indent=2))
    assert shell.run("late") == "nothing has judged slot B, which is on trial: another boot"
    wanted = f"-t ext4 -o ro,noload LABEL=data {shell.root}/run/undecided\n"
    assert (shell.root / "mounted").read_text() == wanted
    assert not (shell.root / "run/undecided/field-update").exists()


def test_data_partition_that_is_being_checked_or_mounted_is_not_touched(shell: Shell) -> None:
    without_data(shell, json.dumps(as_json(State(TRIAL)), indent=2))
    shell.units(jobs=" 57 data.mount start waiting")
    assert shell.run("late") == ""
    assert not (shell.root / "mounted").exists()


@pytest.mark.parametrize("kept", ["", json.dumps(as_json(State()), indent=2)])
def test_slot_that_is_not_known_to_be_on_trial_stays_without_data(shell: Shell, kept: str) -> None:
    without_data(shell, kept)
    assert shell.run("late") == ""


def test_boot_of_no_slot_is_let_be(shell: Shell) -> None:
    shell.file("proc/cmdline", "console=ttyS0 ro rootwait\n")
    assert (shell.run("late"), shell.run()) == ("", "")
