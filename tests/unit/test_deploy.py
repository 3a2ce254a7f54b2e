# SPDX-License-Identifier: MIT
"""Deploy against a board that is played: what is refused before the first write, then each way an upgrade can end."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import deploy, ssh, tunnel
from firmware.deploy import Offer, Outcome
from firmware.errors import TargetError, ToolError, UserError

pytestmark = pytest.mark.unit


class _Board(ssh.Target):
    """A board that runs version 1.0 in slot A; `healthy`, `comes_up` and `refuses` say how an upgrade goes."""

    def __init__(self) -> None:
        super().__init__("board-7")
        self.slot, self.versions, self.boots = "A", {"A": "1.0", "B": ""}, 0
        self.trial: dict[str, Any] | None = None
        self.last: dict[str, str] | None = None
        self.health, self.healthy, self.comes_up, self.refuses = "none", True, True, ""
        self.lost: TargetError | None = None
        self.stuck = False
        self.commands: list[str] = []

    def connect(self, timeout: float = 0) -> None:
        pass

    def boot_id(self) -> str:
        return str(self.boots)

    def reboot(self) -> None:
        self.commands.append("reboot")
        self._boot()

    def wait_for_reboot(self, old_boot_id: str, timeout: float = 0) -> str:
        assert str(self.boots) != old_boot_id, "nothing has rebooted"
        return str(self.boots)

    def _boot(self) -> None:
        self.boots += 1
        self.health = "none"
        if self.trial and self.comes_up:
            self.slot = self.trial["slot"]
            self.health = "passed" if self.healthy else "failed"
        elif self.trial:
            self._fall_back("slot B did not come up")

    def _fall_back(self, reason: str) -> None:
        self.trial, self.slot, self.health = None, "A", "none"
        self.last = {"event": "reverted", "slot": "B", "version": "2.0", "reason": reason}

    def run(
        self,
        command: Sequence[str],
        sudo: bool = False,
        timeout: float = 0,
        stdin: bytes = b"",
        say: Callable[[str], None] | None = None,
    ) -> ssh.Result:
        if command[0] == "cat":
            return ssh.Result(0, json.dumps({"board": "x1", "version": self.versions[self.slot]}), "")
        assert command[0] == "field-update"
        self.commands.append(command[1])
        return {"status": self._status, "install": self._install, "commit": self._commit, "revert": self._revert}[
            command[1]
        ](command)

    def _status(self, _command: Sequence[str]) -> ssh.Result:
        said = {"booted": self.slot, "trial": self.trial, "last": self.last, "health": self.health}
        if self.health == "failed" and not self.stuck:
            self.boots += 1
            self._fall_back("health: made to fail")
            if self.lost:
                raise self.lost
        return ssh.Result(0, json.dumps({**said, "deadline_left_seconds": 100}), "")

    def _install(self, command: Sequence[str]) -> ssh.Result:
        if self.refuses:
            return ssh.Result(1, "", f"field-update: {self.refuses}")
        self.versions["B"] = command[command.index("--version") + 1]
        self.trial = {"slot": "B", "version": self.versions["B"]}
        return ssh.Result(0, "", "")

    def _commit(self, _command: Sequence[str]) -> ssh.Result:
        self.trial = None
        return ssh.Result(0, "", "")

    def _revert(self, command: Sequence[str]) -> ssh.Result:
        self.boots += 1
        self._fall_back(command[-1])
        raise ssh.Unreachable(self.name, "gone")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Board:
    @contextlib.contextmanager
    def serve(_target: ssh.Target, _file: Path) -> Iterator[Any]:
        yield SimpleNamespace(url="http://127.0.0.1:1/x", server=SimpleNamespace(bytes_sent=5, size=50))

    monkeypatch.setattr(tunnel, "serve", serve)
    monkeypatch.setattr(deploy, "RETRY_SECONDS", 0.0)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return _Board()


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    bundle = tmp_path / "x1.raucb"
    bundle.write_bytes(b"bundle")
    return Offer("x1", "2.0", bundle, hashlib.sha256(b"bundle").hexdigest())


def refuse() -> None:
    raise ToolError(["pytest"], 1, "", "1 failed")


def test_missing_bundle_is_refused(board: _Board, offer: Offer) -> None:
    offer.bundle.unlink()
    with pytest.raises(UserError, match=r"no bundle .*valid: one made by \./inv build"):
        deploy.deploy(board, offer)
    assert board.commands == []


def test_changed_bundle_is_refused(board: _Board, offer: Offer) -> None:
    offer.bundle.write_bytes(b"other")
    with pytest.raises(UserError, match=r"SHA-256 is .*valid: the manifest's"):
        deploy.deploy(board, offer)
    assert board.commands == []


def test_bundle_for_another_board_is_refused_before_anything_is_written(board: _Board, offer: Offer) -> None:
    with pytest.raises(UserError, match=r"board-7 is a x1, the bundle is for x2 \(valid: --board=x1\)"):
        deploy.deploy(board, Offer("x2", "2.0", offer.bundle, offer.sha256))
    assert board.commands == []


def test_trial_of_another_version_is_left_alone(board: _Board, offer: Offer) -> None:
    board.trial, board.slot, board.versions["B"] = {"slot": "B", "version": "3.0"}, "B", "3.0"
    with pytest.raises(TargetError, match=r"slot B is on trial with version 3\.0, not 2\.0"):
        deploy.deploy(board, offer)
    assert board.commands == ["status"]


def test_raucs_refusal_is_passed_on_and_nothing_reboots(board: _Board, offer: Offer) -> None:
    board.refuses = "rauc install: signature verification failed"
    with pytest.raises(
        TargetError, match=r"not installed, the running slot is untouched: .*signature verification failed"
    ):
        deploy.deploy(board, offer)
    assert board.commands == ["status", "install"]


def test_same_version_is_not_installed_again(board: _Board, offer: Offer) -> None:
    board.versions["A"] = "2.0"
    assert deploy.deploy(board, offer) == Outcome("unchanged", "A", "2.0")
    assert board.commands == ["status"]


def test_same_version_is_installed_again_when_forced(board: _Board, offer: Offer) -> None:
    board.versions["A"] = "2.0"
    assert deploy.deploy(board, offer, force=True).action == "committed"


def test_slot_that_does_not_come_up_is_undone(board: _Board, offer: Offer) -> None:
    board.comes_up = False
    assert deploy.deploy(board, offer) == Outcome("reverted", "A", "1.0", "slot B did not come up")
    assert "commit" not in board.commands


def test_board_that_never_comes_to_a_verdict_is_not_waited_for_for_ever(board: _Board) -> None:
    board.health, board.stuck = "failed", True
    assert deploy.verdict(board, timeout=0.05)["health"] == "failed"


def test_board_that_never_answers_again_is_not_waited_for_for_ever(
    board: _Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_command: Sequence[str]) -> ssh.Result:
        raise ssh.Unreachable(board.name, "refuses the connection")

    monkeypatch.setattr(board, "_status", unreachable)
    with pytest.raises(ssh.Unreachable, match="refuses the connection"):
        deploy.verdict(board, timeout=0.05)


@pytest.mark.parametrize("lost", [None, ssh.Unreachable("board-7", "gone"), ssh.Late("board-7", "status: too late")])
def test_slot_that_fails_its_health_check_is_undone(board: _Board, offer: Offer, lost: TargetError | None) -> None:
    board.healthy, board.lost = False, lost
    asked: list[str] = []
    outcome = deploy.deploy(board, offer, accept=lambda: asked.append("accept"))
    assert outcome == Outcome("reverted", "A", "1.0", "health: made to fail")
    assert asked == []
    assert "commit" not in board.commands


def test_slot_that_is_not_accepted_is_undone(board: _Board, offer: Offer) -> None:
    outcome = deploy.deploy(board, offer, accept=refuse)
    assert (outcome.action, outcome.slot, outcome.version) == ("reverted", "A", "1.0")
    assert outcome.reason.startswith("acceptance: command failed with status 1: pytest")
    assert "commit" not in board.commands


def test_slot_with_another_version_than_offered_is_undone(board: _Board, offer: Offer) -> None:
    board.trial, board.versions["B"] = {"slot": "B", "version": "2.0"}, "1.5"
    board.slot, board.health = "B", "passed"
    outcome = deploy.deploy(board, offer)
    assert (outcome.action, outcome.reason) == ("reverted", "it runs 1.5, not 2.0")


def test_interruption_leaves_the_trial_to_the_board(board: _Board, offer: Offer) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy.deploy(board, offer, accept=interrupt)
    assert board.commands == ["status", "install", "reboot", "status"]
    assert deploy.deploy(board, offer) == Outcome("committed", "B", "2.0")  # again: goes on with the trial
    assert board.commands[4:] == ["status", "status", "commit"]


def test_accepted_slot_is_committed(board: _Board, offer: Offer) -> None:
    asked: list[str] = []
    outcome = deploy.deploy(board, offer, accept=lambda: asked.append(board.slot))
    assert outcome == Outcome("committed", "B", "2.0")
    assert asked == ["B"]
    assert board.commands == ["status", "install", "reboot", "status", "commit"]
