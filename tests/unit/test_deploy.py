# SPDX-License-Identifier: MIT
"""Deploy against a board that is played: what is refused before the first write, then each way an upgrade can end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import deploy, inspection, paths, ssh, transfer
from firmware.deploy import Offer, Outcome, Plan
from firmware.errors import TargetError, UserError
from firmware.inspection import Content
from tests.unit import played_board
from tests.unit.played_board import PlayedBoard, refuse

pytestmark = pytest.mark.unit
LOADER = Plan(boot_loader=True)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedBoard:
    return played_board.play(tmp_path, monkeypatch)


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    return played_board.offer(tmp_path)


def test_missing_bundle_is_refused(board: PlayedBoard, offer: Offer) -> None:
    offer.bundle.unlink()
    with pytest.raises(UserError, match=r"no bundle .*valid: one made by \./inv build"):
        deploy.deploy(board, offer)
    assert board.commands == []


def test_changed_bundle_is_refused(board: PlayedBoard, offer: Offer) -> None:
    offer.bundle.write_bytes(b"other")
    with pytest.raises(UserError, match=r"SHA-256 is .*valid: the manifest's"):
        deploy.deploy(board, offer)
    assert board.commands == []


def test_bundle_for_another_board_is_refused_before_anything_is_written(board: PlayedBoard, offer: Offer) -> None:
    with pytest.raises(UserError, match=r"board-7 is a x1, the bundle is for x2 \(valid: --board=x1\)"):
        deploy.deploy(board, Offer("x2", "2.0", offer.bundle, offer.sha256))
    assert board.commands == ["status"]


def test_trial_of_another_version_is_left_alone(board: PlayedBoard, offer: Offer) -> None:
    board.trial, board.slot, board.versions["B"] = {"slot": "B", "version": "3.0"}, "B", "3.0"
    with pytest.raises(TargetError, match=r"slot B is on trial with version 3\.0, not 2\.0"):
        deploy.deploy(board, offer)
    assert board.commands == ["status"]


def test_raucs_refusal_is_passed_on_and_nothing_reboots(board: PlayedBoard, offer: Offer) -> None:
    board.refuses = "rauc install: signature verification failed"
    with pytest.raises(
        TargetError, match=r"not installed, the running slot is untouched: .*signature verification failed"
    ):
        deploy.deploy(board, offer)
    assert board.commands == ["status", "install"]


def test_same_version_is_not_installed_again(board: PlayedBoard, offer: Offer) -> None:
    board.versions["A"] = "2.0"
    assert deploy.deploy(board, offer) == Outcome("unchanged", "A", "2.0")
    assert board.commands == ["status"]


def test_same_version_is_installed_again_when_forced(board: PlayedBoard, offer: Offer) -> None:
    board.versions["A"] = "2.0"
    assert deploy.deploy(board, offer, plan=Plan(force=True)).action == "committed"


def test_slot_that_does_not_come_up_is_undone(board: PlayedBoard, offer: Offer) -> None:
    board.comes_up = False
    assert deploy.deploy(board, offer) == Outcome("reverted", "A", "1.0", "slot B did not come up")
    assert "commit" not in board.commands


def test_board_that_never_comes_to_a_verdict_is_not_waited_for_for_ever(board: PlayedBoard) -> None:
    board.health, board.stuck = "failed", True
    assert deploy.verdict(board, timeout=0.05)["health"] == "failed"


def test_board_that_never_answers_again_is_not_waited_for_for_ever(
    board: PlayedBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_command: Sequence[str]) -> ssh.Result:
        raise ssh.Unreachable(board.name, "refuses the connection")

    monkeypatch.setattr(board, "_status", unreachable)
    with pytest.raises(ssh.Unreachable, match="refuses the connection"):
        deploy.verdict(board, timeout=0.05)


@pytest.mark.parametrize("lost", [None, ssh.Unreachable("board-7", "gone"), ssh.Late("board-7", "status: too late")])
def test_slot_that_fails_its_health_check_is_undone(board: PlayedBoard, offer: Offer, lost: TargetError | None) -> None:
    board.healthy, board.lost = False, lost
    asked: list[str] = []
    outcome = deploy.deploy(board, offer, accept=lambda: asked.append("accept"))
    assert outcome == Outcome("reverted", "A", "1.0", "health: made to fail")
    assert asked == []
    assert "commit" not in board.commands


def test_slot_that_is_not_accepted_is_undone(board: PlayedBoard, offer: Offer) -> None:
    outcome = deploy.deploy(board, offer, accept=refuse)
    assert (outcome.action, outcome.slot, outcome.version) == ("reverted", "A", "1.0")
    assert outcome.reason.startswith("acceptance: command failed with status 1: pytest")
    assert "commit" not in board.commands


def test_slot_with_another_version_than_offered_is_undone(board: PlayedBoard, offer: Offer) -> None:
    board.trial, board.versions["B"] = {"slot": "B", "version": "2.0"}, "1.5"
    board.slot, board.health = "B", "passed"
    outcome = deploy.deploy(board, offer)
    assert (outcome.action, outcome.reason) == ("reverted", "it runs 1.5, not 2.0")


def test_accepted_slot_is_committed(board: PlayedBoard, offer: Offer) -> None:
    asked: list[str] = []
    outcome = deploy.deploy(board, offer, accept=lambda: asked.append(board.slot))
    assert outcome == Outcome("committed", "B", "2.0")
    assert asked == ["B"]
    assert board.commands == ["status", "install", "reboot", "status", "commit"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Content("cyclone-capture-x2", "2.0", 1, False), "is for cyclone-capture-x2 .valid: cyclone-capture-x1"),
        (Content("cyclone-capture-x1", "1.9", 1, False), "holds version 1.9 .valid: the offered one, 2.0"),
    ],
)
def test_bundle_that_is_not_what_is_offered_is_refused(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch, content: Content, said: str
) -> None:
    monkeypatch.setattr(inspection, "inspect", lambda _bundle, _keyring: content)
    with pytest.raises(UserError, match=said):
        deploy.deploy(board, offer)
    assert board.commands == ["status"]


def test_board_that_is_not_ready_gets_nothing(board: PlayedBoard, offer: Offer) -> None:
    board.not_ready = ["the clock says 1970-01-01", "/data is read-only"]
    with pytest.raises(TargetError, match=r"not ready for an upgrade, nothing was sent:(.|\n)*1970(.|\n)*read-only"):
        deploy.deploy(board, offer)
    assert board.commands == ["status", "install"]
    board.old = True
    with pytest.raises(TargetError, match=r"not ready for an upgrade, nothing was sent:(.|\n)*1970(.|\n)*read-only"):
        deploy.deploy(board, offer)
    assert board.commands == ["status", "install", "status", "preflight"]


def test_bundle_whose_signature_is_not_valid_by_the_boards_clock_is_not_sent(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, str, int]] = []

    def out_of_time(*what: Any) -> str:
        asked.append(what)
        return "certificate is not yet valid"

    monkeypatch.setattr(inspection, "out_of_time", out_of_time)
    with pytest.raises(TargetError, match=r"nothing was sent:\n *the clock says 2023-11-14 22:13 UTC, .*not yet valid"):
        deploy.deploy(board, offer)
    assert board.commands == ["status"]
    assert asked == [(offer.bundle, "keyring", board.clock)]


def test_board_with_an_older_field_update_is_asked_before(board: PlayedBoard, offer: Offer) -> None:
    board.old = True
    assert deploy.deploy(board, offer).action == "committed"
    assert board.commands[:3] == ["status", "preflight", "install"]


@pytest.mark.parametrize("said", ["nonsense", "{}\0keyring", "{}\0keyring\0nonsense\0{}", "{}\0keyring\0001\0nonsense"])
def test_board_that_says_nothing_of_use(board: PlayedBoard, offer: Offer, said: str) -> None:
    board.survey = said
    with pytest.raises(TargetError, match="says nothing of itself that can be used"):
        deploy.deploy(board, offer)


def test_dry_run_changes_nothing(board: PlayedBoard, offer: Offer) -> None:
    assert deploy.deploy(board, offer, plan=Plan(dry_run=True)) == Outcome("checked", "A", "1.0")
    board.trial, board.slot, board.versions["B"] = {"slot": "B", "version": "2.0"}, "B", "2.0"
    assert deploy.deploy(board, offer, plan=Plan(dry_run=True)) == Outcome("checked", "B", "2.0")
    assert board.commands == ["status", "preflight", "status"]


def test_log_of_a_board_that_went_back_is_kept_and_its_end_is_shown(
    board: PlayedBoard, offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    board.name, board.log, said = "[192.0.2.7]:2222", "".join(f"line {n}\n" for n in range(100)), list[str]()
    assert deploy.deploy(board, offer, accept=refuse, say=said.append).action == "reverted"
    log = tmp_path / "reports" / "reverted-192.0.2.7-2222.log"
    assert log.read_text() == board.log
    assert said[-2] == f"the end of its log, all of which is in {log}:"
    assert [line.strip() for line in said[-1].splitlines()] == [f"line {n}" for n in range(80, 100)]


def test_board_without_a_log_goes_back_without_one(
    board: PlayedBoard, offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    assert deploy.deploy(board, offer, accept=refuse).action == "reverted"
    assert not (tmp_path / "reports").exists()


def test_boot_loader_that_does_not_fit_fails(board: PlayedBoard, offer: Offer) -> None:
    board.loader_said = ""
    with pytest.raises(TargetError, match=r"boot-loader: status 1: .*the boot loader does not fit"):
        deploy.deploy(board, offer, plan=LOADER)
    assert board.commands[-2:] == ["commit", "boot-loader"]


def test_new_boot_loader_that_does_not_boot_fails(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.versions["A"] = "2.0"
    gone = ssh.Unreachable(board.name, "has not rebooted within 900 s")

    def never(_old: str, timeout: float = 0) -> str:
        raise gone

    monkeypatch.setattr(board, "wait_for_reboot", never)
    with pytest.raises(
        TargetError, match=r"has not rebooted within 900 s with its new boot loader .valid: look at its serial console"
    ):
        deploy.deploy(board, offer, plan=LOADER)


def test_new_boot_loader_that_keeps_its_environment_elsewhere_fails(board: PlayedBoard, offer: Offer) -> None:
    board.versions["A"], board.environment_wrong = "2.0", ["BOOT_A_LEFT is 3"]
    with pytest.raises(TargetError, match=r"boots with its new boot loader, but .*BOOT_A_LEFT is 3"):
        deploy.deploy(board, offer, plan=LOADER)


def test_new_boot_loader_is_booted_before_it_counts(board: PlayedBoard, offer: Offer) -> None:
    assert deploy.deploy(board, offer, plan=LOADER) == Outcome("committed", "B", "2.0")
    assert board.commands[-4:] == ["commit", "boot-loader", "reboot", "status"]


def test_boot_loader_that_is_there_already_costs_no_reboot(board: PlayedBoard, offer: Offer) -> None:
    board.versions["A"], board.loader_said = "2.0", "the boot loader is this one already\n"
    assert deploy.deploy(board, offer, plan=LOADER) == Outcome("unchanged", "A", "2.0")
    assert board.commands == ["status", "boot-loader"]


def test_version_that_was_undone_brings_no_boot_loader(board: PlayedBoard, offer: Offer) -> None:
    assert deploy.deploy(board, offer, accept=refuse, plan=LOADER).action == "reverted"
    assert "boot-loader" not in board.commands


def test_dry_run_brings_no_boot_loader(board: PlayedBoard, offer: Offer) -> None:
    deploy.deploy(board, offer, plan=Plan(dry_run=True, boot_loader=True))
    board.versions["A"] = "2.0"
    deploy.deploy(board, offer, plan=Plan(dry_run=True, boot_loader=True))
    assert "boot-loader" not in board.commands


def test_encrypted_bundle_is_left_to_the_board(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "inspect", lambda _bundle, _keyring: None)
    assert deploy.deploy(board, offer).action == "committed"


def test_progress_tells_rate_and_end() -> None:
    said: list[str] = []
    server: Any = SimpleNamespace(bytes_sent=10 << 20, size=40 << 20)
    progress = transfer.Progress(server, said.append)
    assert progress.facts(5.0) == "  10.0 of 40.0 MiB sent, 2.0 MiB/s, 5 s"
    progress.line(" 25% Copying image to rootfs.1")
    assert progress.facts(5.0) == "  10.0 of 40.0 MiB sent, 2.0 MiB/s, 5 s, 15 s left"
    assert said[0].startswith("  25% Copying image to rootfs.1")


def test_silent_board_is_at_work_and_nobody_guesses_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "SILENCE_SECONDS", 0.01)
    said: list[str] = []
    spoken = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        if "40%" not in text:
            spoken.set()

    server: Any = SimpleNamespace(bytes_sent=1 << 20, size=40 << 20)
    progress = transfer.Progress(server, say)
    progress.line(" 40% Determining target install group done.")  # before anybody looks for silence
    with progress:
        assert spoken.wait(20)
    assert said[0].endswith(" s left")
    assert said[-1].startswith("  (the board is at work) ")
    assert not said[-1].endswith("left")
