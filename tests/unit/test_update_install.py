# SPDX-License-Identifier: MIT
"""`field-update install --ready` writes nothing on a board that is not ready; the log of a boot that is reverted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from firmware import paths
from tests.unit.slotted_board import PowerCut, SlottedBoard

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import cli, preflight, system
from field_update.commands import Commands, NotReady
from field_update.state import INSTALLED, INSTALLING, State, Store, Trial
from field_update.system import Failure

pytestmark = pytest.mark.unit
TRIAL = Trial("B", "2.0", 600, INSTALLED)


@pytest.fixture
def board() -> SlottedBoard:
    return SlottedBoard()


@pytest.fixture
def commands(board: SlottedBoard, tmp_path: Path) -> Commands:
    return Commands(board, tmp_path / "data", tmp_path / "run", lambda _line: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def test_board_that_is_not_ready_writes_nothing(
    board: SlottedBoard, commands: Commands, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "refusals", lambda *_words: ["the clock says 1970", "/data is full"])
    with pytest.raises(NotReady, match=r"(?s)the clock says 1970.*/data is full"):
        commands.install("http://x", "2.0", 600, preflight.Offer("2.0"))
    assert board.done == []
    assert not store.path.exists()
    commands.install("http://x", "2.0", 600)  # nobody asks whether it is ready
    assert "install" in board.done


def test_board_that_is_ready_is_installed_to(
    board: SlottedBoard, commands: Commands, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[preflight.Offer] = []

    def refusals(_system: system.System, _state: object, offer: preflight.Offer, _now: float) -> list[str]:
        asked.append(offer)
        return []

    monkeypatch.setattr(preflight, "refusals", refusals)
    commands.install("http://x", "2.0", 600, preflight.Offer("2.0", 4096, True))
    assert asked == [preflight.Offer("2.0", 4096, True)]
    assert store.load()[0].trial == TRIAL


def test_reasons_are_said_line_by_line_with_a_status_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "DATA", tmp_path / "data")
    monkeypatch.setattr(cli, "RUN", tmp_path / "run")
    monkeypatch.setattr(preflight, "refusals", lambda *_words: ["one", "two"])
    assert cli.main(["install", "http://x", "--ready", "--bytes", "4096"]) == cli.NOT_READY == 3
    assert capsys.readouterr().err == "one\ntwo\n"
    assert not (tmp_path / "data").exists()


def test_what_somebody_else_has_installed_meanwhile_is_not_overwritten(
    board: SlottedBoard, commands: Commands, store: Store
) -> None:
    store.save(State(TRIAL))
    with pytest.raises(NotReady, match=r"version 2.0 waits in slot B to be tried: somebody else deploys to this board"):
        commands.install("http://x", "3.0", 600, unless_pending=True)
    assert (board.done, store.load()[0]) == ([], State(TRIAL))
    store.save(State(TRIAL._replace(phase=INSTALLING)))  # one that was broken off holds up nobody
    commands.install("http://x", "3.0", 600, unless_pending=True)
    assert "install" in board.done
    commands.install("http://x", "4.0", 600)  # who has seen it may
    assert store.load()[0].trial == Trial("B", "4.0", 600, INSTALLED)


def test_option_reaches_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(cli, "RUN", tmp_path)
    monkeypatch.setattr(Commands, "install", lambda _self, *words: seen.append(words))
    assert cli.main(["install", "http://x", "--unless-pending"]) == 0
    assert cli.main(["install", "http://x"]) == 0
    assert seen == [("http://x", "", 1800, None, True), ("http://x", "", 1800, None, False)]


def test_nobody_but_its_owner_can_hold_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may open it to read may lock it: then nothing is reverted at the deadline, and nothing is ever upgraded."""
    monkeypatch.setattr(cli, "RUN", tmp_path)
    with cli._lock():
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
        with pytest.raises(Failure, match="another field-update is at work"), cli._lock():
            pass
    with cli._lock():
        pass


def test_rauc_is_asked_once_for_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    status = json.dumps({"slots": [{"r": {"bootname": name, "device": f"/dev/{name}"}} for name in "AB"]})

    def output(command: list[str]) -> str:
        asked.append(command)
        return status

    monkeypatch.setattr(system, "output", output)
    found = system.System()
    assert (found.other("A"), found.device("B"), found.device("A")) == ("B", "/dev/B", "/dev/A")
    assert len(asked) == 1


def test_slot_without_a_file_system_holds_no_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def output(command: list[str]) -> str:
        if command[0] == "mount":
            raise Failure("mount: wrong fs type, bad option, bad superblock on /dev/B")
        return json.dumps({"slots": [{"r": {"bootname": "B", "device": "/dev/B"}}]})

    monkeypatch.setattr(system, "output", output)
    monkeypatch.setattr(system, "MOUNT", tmp_path)
    with pytest.raises(Failure, match=r"^slot B holds no system .valid: when an upgrade has been installed.: mount: "):
        system.System().version_of("B")


# ---- the log of a boot that is reverted ----


def tried(board: SlottedBoard, store: Store) -> Path:
    """Slot B runs, on trial; where the log of it goes."""
    board.slot, board.order = "B", ["B", "A"]
    store.save(State(TRIAL))
    return store.path.with_name("reverted.log")


def test_journal_that_cannot_be_read_keeps_no_board_from_going_back(
    board: SlottedBoard, commands: Commands, store: Store
) -> None:
    log = tried(board, store)
    board.journal_text = ""
    commands.revert("no reason")
    assert board.done == ["active other", "bad booted", "reboot"]
    assert not log.exists()


def test_log_that_cannot_be_written_keeps_no_board_from_going_back(
    board: SlottedBoard, commands: Commands, store: Store
) -> None:
    tried(board, store).mkdir()
    commands.revert("no reason")
    assert board.done == ["active other", "bad booted", "reboot"]


def test_power_that_goes_behind_the_log_leaves_the_reason(
    board: SlottedBoard, commands: Commands, store: Store
) -> None:
    log, board.cut = tried(board, store), 0
    with pytest.raises(PowerCut):
        commands.revert("no reason")
    assert log.read_text() == "the journal\n"
    trial = store.load()[0].trial
    assert trial is not None
    assert trial.failed == "no reason"


def test_log_has_the_end_of_a_long_journal(board: SlottedBoard, commands: Commands, store: Store) -> None:
    log = tried(board, store)
    board.journal_text = "first\n" + "line\n" * 50_000 + "last\n"
    commands.revert("no reason")
    assert log.read_text().endswith("line\nlast\n")
    assert log.read_text().startswith("line\n"), "no half a line"
    assert log.stat().st_size <= 64 << 10


def test_next_installation_forgets_the_log(board: SlottedBoard, commands: Commands, store: Store) -> None:
    log = tried(board, store)
    commands.revert("no reason")
    assert log.exists()
    board.boots()
    store.save(State())
    commands.install("http://x", "2.0", 600)
    assert not log.exists(), "it would pass for that of the new trial"
