# SPDX-License-Identifier: MIT
"""The board's side of an upgrade: broken state first, then what each boot means, cut short at every step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware import paths
from tests.unit.slotted_board import PowerCut, SlottedBoard

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import boot_loader, decide, system
from field_update import state as state_file
from field_update.commands import Commands
from field_update.environment import Finding
from field_update.state import INSTALLED, INSTALLING, BrokenState, Event, State, Store, Trial, parse
from field_update.system import Check, Failure

pytestmark = pytest.mark.unit
TRIAL = Trial("B", "2.0", 600, INSTALLED)
RAUC = {
    "booted": "A",
    "slots": [
        {"rootfs.1": {"class": "rootfs", "bootname": "B", "state": "inactive"}},
        {"rootfs.0": {"class": "rootfs", "bootname": "A", "state": "booted"}},
    ],
}


@pytest.fixture
def board() -> SlottedBoard:
    return SlottedBoard()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def commands(board: SlottedBoard, said: list[str], tmp_path: Path) -> Commands:
    return Commands(board, tmp_path / "data", tmp_path / "run", said.append)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def document(**changes: object) -> str:
    """A state file's text, its trial changed."""
    return json.dumps({"schema": 1, "trial": {**TRIAL._asdict(), **changes}, "last": None})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"schema": 2, "trial": null, "last": null}',
        '{"schema": 1, "trial": null}',
        '{"schema": 1, "trial": 5, "last": null}',
        '{"schema": 1, "trial": {"slot": "B"}, "last": null}',
        document(phase="other"),
        document(slot=2),
        document(deadline_seconds="600"),
        document(deadline_seconds=0),
        document(deadline_seconds=True),
        document(extra=1),
        '{"schema": 1, "trial": null, "last": {"event": 1, "slot": "B", "version": "", "reason": ""}}',
    ],
)
def test_broken_state_is_said_to_be_broken(text: str) -> None:
    with pytest.raises(BrokenState):
        parse(text)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", bytes(4096)])
def test_broken_state_file_does_not_stop_the_boot(
    board: SlottedBoard, commands: Commands, store: Store, content: bytes
) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    assert commands.boot() is None
    assert board.done == ["good booted"]
    state, problem = store.load()
    assert problem == ""
    assert state.trial is None
    assert state.last is not None
    assert state.last.event == "state-unreadable"
    assert store.path.with_name("state.json.broken").read_bytes() == content


def test_no_file_is_no_trial(store: Store) -> None:
    assert store.load() == (State(), "")


def test_state_comes_back_as_it_was_saved(store: Store) -> None:
    state = State(TRIAL, Event("reverted", "B", "1.0", "because"))
    store.save(state)
    assert store.load() == (state, "")
    assert [path.name for path in store.path.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("state", "problem", "booted", "action", "event"),
    [
        (State(TRIAL), "", "", decide.LEAVE, None),
        (State(), "broken", "", decide.LEAVE, None),
        (State(), "broken", "A", decide.KEEP, "state-unreadable"),
        (State(), "", "A", decide.KEEP, None),
        (State(TRIAL), "", "B", decide.TRY, None),
        (State(TRIAL._replace(phase=INSTALLING)), "", "B", decide.TRY, None),
        (State(TRIAL._replace(failed="health")), "", "B", decide.REVERT, None),
        (State(TRIAL), "", "A", decide.FELL_BACK, "reverted"),
        (State(TRIAL._replace(failed="health")), "", "A", decide.FELL_BACK, "reverted"),
        (State(TRIAL._replace(phase=INSTALLING)), "", "A", decide.FELL_BACK, "interrupted"),
    ],
)
def test_what_a_boot_means(state: State, problem: str, booted: str, action: str, event: str | None) -> None:
    decision = decide.at_boot(state, problem, booted)
    assert decision.action == action
    assert (decision.state.last.event if decision.state.last else None) == event


def test_nothing_is_installed_over_a_trial(board: SlottedBoard, commands: Commands, store: Store) -> None:
    board.slot = "B"
    store.save(State(TRIAL))
    with pytest.raises(Failure, match="slot B is on trial"):
        commands.install("http://x", "3.0", 600)
    assert board.done == []
    assert store.load()[0] == State(TRIAL)


def test_nothing_is_installed_on_a_board_that_names_no_slot(board: SlottedBoard, commands: Commands) -> None:
    board.slot = ""
    with pytest.raises(Failure, match=r"rauc\.slot="):
        commands.install("http://x", "3.0", 600)
    assert board.done == []


@pytest.mark.parametrize("state", [State(), State(TRIAL)])
def test_without_a_trial_of_the_booted_slot_nothing_is_committed_or_reverted(
    board: SlottedBoard, commands: Commands, store: Store, state: State
) -> None:
    store.save(state)
    with pytest.raises(Failure, match=r"nothing is on trial|is to be tried"):
        commands.commit()
    with pytest.raises(Failure, match=r"nothing is on trial|is to be tried"):
        commands.revert("why")
    assert board.done == []


def test_refused_bundle_leaves_no_trial(board: SlottedBoard, commands: Commands, store: Store) -> None:
    board.install_error = "signature verification failed"
    with pytest.raises(Failure, match="signature"):
        commands.install("http://x", "2.0", 600)
    assert store.load()[0] == State(None, Event("install-failed", "B", "2.0", "signature verification failed"))
    assert board.order[0] == "A"


def test_upgrade_is_tried_and_committed(board: SlottedBoard, commands: Commands, store: Store) -> None:
    commands.install("http://x", "2.0", 600)
    board.boots()
    assert board.slot == "B"
    assert commands.boot() == TRIAL
    assert board.done == []  # the attempt counter is not given back to a slot on trial
    assert commands.status()["health"] == "passed"
    assert commands.status()["deadline_left_seconds"] == 500
    commands.commit()
    assert board.done == ["good booted"]
    assert store.load()[0] == State(None, Event("committed", "B", "2.0", ""))
    board.boots()
    assert commands.boot() is None
    assert board.done == ["good booted"]


def test_trial_is_over_at_its_deadline(board: SlottedBoard, commands: Commands, store: Store) -> None:
    board.slot = "B"
    store.save(State(TRIAL))
    trial = commands.boot()
    assert trial is not None
    commands.expire(trial)
    assert board.clock == 600
    assert commands.still(trial)
    store.save(State())
    assert not commands.still(trial)


@pytest.mark.parametrize("why", ["health", "settle", "environment"])
def test_unhealthy_slot_goes_back_and_the_reason_is_kept(
    board: SlottedBoard, commands: Commands, store: Store, why: str
) -> None:
    commands.install("http://x", "2.0", 600)
    board.boots()
    if why == "health":
        board.checks = [Check("50-captured", False, "made to fail")]
    elif why == "environment":
        board.finding = Finding(["made to fail"], ["worth a note"])
    else:
        board.settled = "made to fail"
    assert (commands.boot(), board.done) == (None, ["active other", "bad booted", "reboot"])
    with pytest.raises(Failure, match="has failed and is being reverted"):
        commands.commit()
    board.boots()
    assert board.slot == "A"
    assert commands.boot() is None
    last = store.load()[0].last
    assert last is not None
    assert (last.event, "made to fail" in last.reason) == ("reverted", True)
    assert board.order == ["A"]


def test_slot_that_does_not_come_up_is_reported(board: SlottedBoard, commands: Commands, store: Store) -> None:
    commands.install("http://x", "2.0", 600)
    board.boots()
    board.slot = "A"  # U-Boot gave up on B
    commands.boot()
    assert board.done == ["bad other", "active booted", "good booted"]
    assert store.load()[0] == State(None, Event("reverted", "B", "2.0", "slot B did not come up"))
    assert board.order == ["A"]


@pytest.mark.parametrize("cut", range(12))
def test_power_cut_at_any_action_never_leaves_an_untried_slot_committed(
    board: SlottedBoard, commands: Commands, store: Store, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_write = state_file.write_atomically

    def write(path: Path, text: str) -> None:
        board.act("save")
        really_write(path, text)

    monkeypatch.setattr(state_file, "write_atomically", write)

    def until_the_power_goes(work: Callable[[], object]) -> None:
        try:
            work()
        except PowerCut:
            board.boots()
            commands.boot()

    board.checks = [Check("50-captured", False, "made to fail")]
    board.cut = cut
    until_the_power_goes(lambda: commands.install("http://x", "2.0", 600))
    for _ in range(3):
        board.boots()
        board.cut = cut - 4
        until_the_power_goes(commands.boot)
    board.boots()
    commands.boot()
    assert board.slot == "A"
    assert store.load()[0].trial is None


def test_other_slot_is_found_in_what_rauc_says() -> None:
    assert system.other_slot(json.dumps(RAUC), "A") == "B"
    for text, booted in (("", "A"), ("{}", "A"), ("[]", "A"), ('{"slots": [1]}', "A"), (json.dumps(RAUC), "C")):
        with pytest.raises(Failure):
            system.other_slot(text, booted)


@pytest.mark.parametrize(
    ("line", "slot"),
    [("", ""), ("quiet ro", ""), ("rauc.slot=A ro", "A"), ("xrauc.slot=A", ""), ("rauc.slot=B\n", "B")],
)
def test_booted_slot_is_on_the_kernels_command_line(line: str, slot: str) -> None:
    assert system.booted_slot(line) == slot


def script(path: Path, text: str, mode: int = 0o755) -> None:
    """A health check."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)


def test_check_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    script(tmp_path / "10-hangs", "sleep 1000 & sleep 1000")
    (hangs,) = system.run_checks(tmp_path, 0.2)
    assert hangs == Check("10-hangs", False, "did not end within 0.2 s")


def test_check_is_believed_by_its_status(tmp_path: Path) -> None:
    script(tmp_path / "20-fails", "echo reason; exit 3")
    script(tmp_path / "30-passes", "exit 0")
    script(tmp_path / "40-not-executable", "exit 9", mode=0o644)
    (tmp_path / "50-no-program").write_bytes(b"\0")
    (tmp_path / "50-no-program").chmod(0o755)
    fails, passes, broken = system.run_checks(tmp_path, 60)
    assert fails == Check("20-fails", False, "reason")
    assert passes.passed
    assert not broken.passed
    assert "cannot be started" in broken.said


def test_no_folder_of_checks_is_no_failure(tmp_path: Path) -> None:
    assert system.run_checks(tmp_path / "none", 1) == []


@pytest.mark.parametrize("slot", ["A", "B"])
def test_boot_loader_is_left_alone_while_a_slot_is_to_be_tried(
    board: SlottedBoard, commands: Commands, store: Store, slot: str
) -> None:
    board.slot = slot
    store.save(State(TRIAL))
    with pytest.raises(Failure, match=r"slot B is on trial|slot B is to be tried"):
        commands.boot_loader()


def test_boot_loader_that_has_not_booted_yet_is_not_there_already(
    board: SlottedBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy that was interrupted before the reboot comes again, and must not take it for proven."""
    said, changes = list[str](), [True, False, False]
    monkeypatch.setattr(boot_loader, "upgrade", lambda _say: changes.pop(0))
    commands = Commands(board, tmp_path / "data", tmp_path / "run", said.append)
    commands.boot_loader()
    commands.boot_loader()
    assert said == ["the boot loader is new from the next boot on"] * 2
    Commands(board, tmp_path / "data", tmp_path / "another boot's run", said.append).boot_loader()
    assert said[2:] == ["the boot loader is this one already"]


def test_new_scripts_in_the_environment_are_a_new_boot_loader(
    board: SlottedBoard, commands: Commands, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def upgrade(_say: Callable[[str], None]) -> bool:
        order.append("written")
        return False

    def renew() -> list[str]:
        order.append("renewed")
        return ["find_root"]

    monkeypatch.setattr(boot_loader, "upgrade", upgrade)
    monkeypatch.setattr(board, "renew_environment", renew)
    commands.boot_loader()
    assert order == ["written", "renewed"], "the old U-Boot may not know what the new scripts need"
    assert said == ["U-Boot's environment has the new find_root", "the boot loader is new from the next boot on"]


def test_rollback_of_an_empty_slot_changes_nothing(board: SlottedBoard, commands: Commands, store: Store) -> None:
    board.other_version = ""
    with pytest.raises(Failure, match="slot B holds no system"):
        commands.rollback(600)
    assert board.done == []
    assert store.load() == (State(), "")


def test_rollback_while_a_slot_is_on_trial_is_refused(board: SlottedBoard, commands: Commands, store: Store) -> None:
    board.slot = "B"
    store.save(State(TRIAL))
    with pytest.raises(Failure, match="slot B is on trial"):
        commands.rollback(600)


def test_rollback_tries_the_other_slot_like_an_upgrade(board: SlottedBoard, commands: Commands, store: Store) -> None:
    commands.rollback(600)
    assert board.done == ["active other", "reboot"]
    assert store.load()[0].trial == Trial("B", "0.9", 600, INSTALLED)
    board.boots()
    assert commands.boot() == Trial("B", "0.9", 600, INSTALLED)
    commands.commit()
    assert store.load()[0].last == Event("committed", "B", "0.9", "")
