# SPDX-License-Identifier: MIT
"""A deploy that is broken off, by its link or by Ctrl-C, and goes on; and two who deploy to one board at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from firmware import deploy, ssh, transfer
from firmware.deploy import Offer, Outcome, Plan
from firmware.errors import TargetError
from tests.unit import played_board
from tests.unit.played_board import PlayedBoard

pytestmark = pytest.mark.unit
LOADER = Plan(boot_loader=True)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedBoard:
    return played_board.play(tmp_path, monkeypatch)


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    return played_board.offer(tmp_path)


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
