# SPDX-License-Identifier: MIT
"""Deploy against a board that is played: what is refused before the first write, then each way an upgrade can end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import deploy, inspection, paths, slots, ssh, transfer, tunnel
from firmware.deploy import Offer, Outcome, Plan
from firmware.errors import TargetError, ToolError, UserError
from firmware.inspection import Content
from tests.unit.played_board import PlayedBoard

pytestmark = pytest.mark.unit
CONTENT = Content("cyclone-capture-x1", "2.0", 4096, False)
LOADER = Plan(boot_loader=True)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedBoard:
    @contextlib.contextmanager
    def serve(_target: ssh.Target, _file: Path) -> Iterator[Any]:
        yield SimpleNamespace(url="http://127.0.0.1:1/x", server=SimpleNamespace(bytes_sent=5, size=50))

    monkeypatch.setattr(tunnel, "serve", serve)
    monkeypatch.setattr(inspection, "inspect", lambda _bundle, _keyring: CONTENT)
    monkeypatch.setattr(deploy, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(transfer, "RETRY_SECONDS", 0.0)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return PlayedBoard()


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    bundle = tmp_path / "x1.raucb"
    bundle.write_bytes(b"bundle")
    return Offer("x1", "2.0", bundle, hashlib.sha256(b"bundle").hexdigest())


def refuse() -> None:
    raise ToolError(["pytest"], 1, "", "1 failed")


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


def test_interruption_leaves_the_trial_to_the_board(board: PlayedBoard, offer: Offer) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy.deploy(board, offer, accept=interrupt)
    assert board.commands == ["status", "install", "reboot", "status"]
    assert deploy.deploy(board, offer) == Outcome("committed", "B", "2.0")  # again: goes on with the trial
    assert board.commands[4:] == ["status", "status", "commit"]


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("at", range(12))  # all of them
def test_interrupted_anywhere_the_same_command_goes_on(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch, at: int, behind: bool
) -> None:
    """Ctrl-C at the n-th thing that the board is asked for, before or behind its doing."""
    left, phases = [at], list[str]()

    def interruptible(name: str, ask: Callable[..., Any]) -> None:
        def asked_for(*words: Any, **options: Any) -> Any:
            phases.append(name)
            now, left[0] = left[0] == 0, left[0] - 1
            if now and not behind:
                raise KeyboardInterrupt
            answer = ask(*words, **options)
            if now:
                raise KeyboardInterrupt
            return answer

        monkeypatch.setattr(board, name, asked_for)

    for name in ("run", "reboot", "wait_for_reboot"):
        interruptible(name, getattr(board, name))
    with pytest.raises(KeyboardInterrupt):
        deploy.deploy(board, offer, accept=lambda: None, plan=LOADER)
    assert phases
    outcome = deploy.deploy(board, offer, accept=lambda: None, plan=LOADER)
    assert outcome in (Outcome("committed", "B", "2.0"), Outcome("unchanged", "B", "2.0"))
    assert (board.versions[board.slot], board.trial) == ("2.0", None)


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


def test_board_with_an_older_field_update_is_asked_before(board: PlayedBoard, offer: Offer) -> None:
    board.old = True
    assert deploy.deploy(board, offer).action == "committed"
    assert board.commands[:3] == ["status", "preflight", "install"]


@pytest.mark.parametrize("said", ["nonsense", "{}\0keyring", "{}\0keyring\0nonsense"])
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


def test_link_that_drops_for_good_is_given_up(board: PlayedBoard, offer: Offer) -> None:
    board.drops = transfer.LINK_ATTEMPTS
    with pytest.raises(ssh.Unreachable, match="connection lost"):
        deploy.deploy(board, offer)
    assert board.commands.count("install") == transfer.LINK_ATTEMPTS


def test_link_that_drops_is_taken_up_again(board: PlayedBoard, offer: Offer) -> None:
    board.drops = transfer.LINK_ATTEMPTS - 1
    said: list[str] = []
    assert deploy.deploy(board, offer, say=said.append).action == "committed"
    assert said.count("the link was lost: connection lost; it goes on when the board answers") == 4


def test_installation_that_the_link_broke_off_is_waited_for(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, install = [f"field-update: {transfer.AT_WORK}"] * 2, board._install

    def answer(command: Sequence[str]) -> ssh.Result:
        return ssh.Result(1, "", busy.pop()) if busy else install(command)

    monkeypatch.setattr(board, "_install", answer)
    assert deploy.deploy(board, offer).action == "committed"
    assert board.commands.count("install") == 3


def asked(board: PlayedBoard, monkeypatch: pytest.MonkeyPatch, busy: int = 0) -> list[Sequence[str]]:
    """What `field-update install` is asked for; `busy` times another one is at work."""
    seen: list[Sequence[str]] = []
    install, left = board._install, [""] * busy

    def answer(command: Sequence[str]) -> ssh.Result:
        seen.append(command)
        return ssh.Result(1, left.pop(), f"field-update: {transfer.AT_WORK}") if left else install(command)

    monkeypatch.setattr(board, "_install", answer)
    return seen


def test_upgrade_that_somebody_else_makes_meanwhile_is_not_overwritten(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, said = asked(board, monkeypatch, busy=2), list[str]()
    board.not_ready = ["version 3.0 waits in slot B to be tried"]
    with pytest.raises(TargetError, match=r"not ready for an upgrade, nothing was sent:(.|\n)*version 3\.0 waits"):
        deploy.deploy(board, offer, say=said.append)
    assert all("--unless-pending" in command for command in seen)
    assert said.count("board-7: another field-update is at work; its end is waited for") == 1
    assert "reboot" not in board.commands


def test_upgrade_that_was_seen_to_wait_is_installed_over(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one's own, that was interrupted between installation and reboot."""
    seen = asked(board, monkeypatch)
    board.trial = {"slot": "B", "version": "2.0", "phase": "installed"}
    assert deploy.deploy(board, offer).action == "committed"
    assert "--unless-pending" not in seen[0]


def test_installation_whose_link_dropped_is_ones_own(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.drops = 1
    seen = asked(board, monkeypatch)
    assert deploy.deploy(board, offer).action == "committed"
    assert ["--unless-pending" in command for command in seen] == [True, False]


def test_board_with_an_older_field_update_is_not_asked_what_it_does_not_know(
    board: PlayedBoard, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.old = True
    seen = asked(board, monkeypatch)
    assert deploy.deploy(board, offer).action == "committed"
    assert "--unless-pending" not in seen[0]


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


def test_rollback_to_an_empty_slot(board: PlayedBoard) -> None:
    with pytest.raises(TargetError, match="slot B holds no system"):
        slots.rollback(board)


def test_rollback_is_a_trial(board: PlayedBoard) -> None:
    board.versions["B"] = "0.9"
    said: list[str] = []
    assert slots.rollback(board, say=said.append) == Outcome("committed", "B", "0.9")
    assert said[:3] == [
        "board-7 runs slot A; the other one is to be tried, for at most 1800 s",
        "board-7: slot B, version 0.9, is tried for at most 1800 s",
        "rebooting",
    ]


def test_rollback_whose_connection_goes_with_the_reboot(board: PlayedBoard) -> None:
    board.versions["B"], board.lost = "0.9", ssh.Unreachable("board-7", "gone")
    assert slots.rollback(board) == Outcome("committed", "B", "0.9")


def test_rollback_that_is_not_accepted_is_undone(board: PlayedBoard) -> None:
    board.versions["B"] = "0.9"
    assert slots.rollback(board, accept=refuse).action == "reverted"
    board.trial, board.versions["B"], board.comes_up = None, "0.9", False
    assert slots.rollback(board) == Outcome("reverted", "A", "1.0", "slot B did not come up")


def test_rollback_gives_up_a_trial(board: PlayedBoard) -> None:
    board.trial, board.slot, board.versions["B"], board.health = {"slot": "B", "version": "2.0"}, "B", "2.0", "passed"
    assert slots.rollback(board) == Outcome("reverted", "A", "1.0", "rollback was asked for")


def test_status_for_a_person_and_for_a_program(board: PlayedBoard, capsys: pytest.CaptureFixture[str]) -> None:
    slots.show(board)
    assert "runs 1.0, kernel 6.12, in slot A (x1)\n  committed; nothing is on trial" in capsys.readouterr().out
    board.trial = {"slot": "B", "version": ""}
    slots.show(board)
    assert "slot B with a new version is tried at the next boot" in capsys.readouterr().out
    board.slot, board.versions["B"], board.health = "B", "2.0", "passed"
    board.last = {"event": "reverted", "slot": "B", "version": "1.9", "reason": "health: x"}
    slots.show(board)
    said = capsys.readouterr().out
    assert "on trial: to be committed within 100 s" in said
    assert "last: reverted: slot B, version 1.9: health: x" in said
    slots.show(board, as_json=True)
    assert json.loads(capsys.readouterr().out)["release"]["version"] == "2.0"
