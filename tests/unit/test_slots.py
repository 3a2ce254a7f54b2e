# SPDX-License-Identifier: MIT
"""`./inv rollback` and `./inv status` against a board that is played: what cannot be gone back to first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware import slots, ssh
from firmware.deploy import Outcome
from firmware.errors import TargetError
from tests.unit import played_board
from tests.unit.played_board import PlayedBoard, refuse

pytestmark = pytest.mark.unit


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedBoard:
    return played_board.play(tmp_path, monkeypatch)


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
    board.trial = {"slot": "B", "version": "2.0", "phase": "installing"}
    slots.show(board)
    said = capsys.readouterr().out
    assert "2.0 is being installed into slot B, or that was broken off" in said
    assert "tried at the next boot" not in said
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
