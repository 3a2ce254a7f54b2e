# SPDX-License-Identifier: MIT
"""What `./inv deploy` and `./inv rollback` make of their options, without a board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.context import Context

import tasks
from firmware import bundle, engine, manifest, rollout, slots
from firmware import deploy as upgrade
from firmware.choice import Choice
from firmware.deploy import Offer, Outcome, Plan
from firmware.errors import TargetError, UserError
from firmware.rollout import Scope, Wish
from tests.unit.played_board import PlayedBoard

pytestmark = pytest.mark.unit
BUILT = Offer("de0-nano-soc", "1.0.0", Path("built.raucb"), "0" * 64)


class Asked:
    """What deploy was asked for, and how it is to end."""

    def __init__(self) -> None:
        """Committed."""
        self.offer: Offer | None = None
        self.plan: Plan | None = None
        self.accept: Callable[[], None] | None = None
        self.outcome = Outcome("committed", "B", "1.0.0")
        self.board = PlayedBoard()

    def deploy(self, _target: Any, offer: Offer, accept: Callable[[], None] | None, plan: Plan) -> Outcome:
        """Remember."""
        self.offer, self.accept, self.plan = offer, accept, plan
        return self.outcome


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = Asked()
    built = SimpleNamespace(board=BUILT.board, version="1.0.0", inputs={"rootfs": "key"})
    monkeypatch.setattr(manifest, "load_built", lambda _board, _engine: built)
    monkeypatch.setattr(Offer, "of", classmethod(lambda _cls, _built: BUILT))
    monkeypatch.setattr(upgrade, "deploy", made.deploy)
    monkeypatch.setattr(rollout, "reach", lambda _choice, _key=None: SimpleNamespace(target=made.board))
    return made


@pytest.mark.parametrize(
    ("scope", "wish", "host", "said"),
    [
        (Scope(only="captured"), Wish(dry_run=True), None, r"--only .*valid: with --host alone"),
        (Scope(only="captured"), Wish(accept=False), None, r"--only .*valid: with --host alone"),
        (Scope(only="captured", fleet="f.yaml"), Wish(), None, r"--only .*valid: with --host alone"),
        (Scope(fleet="f.yaml"), Wish(), "board-7", r"--fleet: its own boards .valid: without --host.$"),
        (Scope(group="hall-a"), Wish(), "board-7", r"--group, --tag: .*valid: with --fleet=FILE"),
        (Scope(tag="canary"), Wish(), None, r"--group, --tag: .*valid: with --fleet=FILE"),
    ],
)
def test_option_without_effect_is_refused(scope: Scope, wish: Wish, host: str | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        scope.check(wish, host)


def test_options_that_go_together_are_taken() -> None:
    Scope().check(Wish(dry_run=True, boot_loader=True), "board-7")
    Scope(only="captured").check(Wish(), "board-7")
    Scope(fleet="f.yaml", group="hall-a", tag="canary").check(Wish(dry_run=True, accept=False), None)
    Scope(fleet="f.yaml").check(Wish(boot_loader=True), None)


def test_command_line_brings_a_fleet_its_boot_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Wish] = []
    monkeypatch.setattr(rollout, "to_fleet", lambda _choice, _file, wish, *_more: seen.append(wish))
    tasks.deploy(Context(), fleet="f.yaml", boot_loader=True)
    assert seen == [Wish(boot_loader=True)]


def test_upgrade_that_went_back_fails_with_its_reason(asked: Asked) -> None:
    asked.outcome = Outcome("reverted", "A", "0.9.0", "health: made to fail")
    with pytest.raises(TargetError, match=r"board-7: it went back to 0\.9\.0: health: made to fail"):
        rollout.deploy(Choice())


def test_permission_for_a_downgrade_must_be_signed_anew(asked: Asked) -> None:
    with pytest.raises(UserError, match=r"--allow-downgrade makes another bundle .valid: --engine=debian"):
        rollout.deploy(Choice().update(engine="yocto"), Wish(downgrade=True))
    assert asked.offer is None


def test_downgrade_offers_another_bundle_of_the_same_content(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(inputs: str, rootfs_key: str, downgrade: bool = False) -> Path:
        assert (inputs, rootfs_key, downgrade) == ("inputs", "key", True)
        (tmp_path / "sha256").write_text("1" * 64 + "\n")
        return tmp_path

    monkeypatch.setattr(engine, "bundle_inputs", lambda _board: "inputs")
    monkeypatch.setattr(bundle, "build", build)
    rollout.deploy(Choice(), Wish(downgrade=True))
    assert asked.offer == Offer("de0-nano-soc", "1.0.0", tmp_path / "de0-nano-soc.raucb", "1" * 64)


def test_options_reach_deploy(asked: Asked) -> None:
    rollout.deploy(Choice(), Wish(force=True, dry_run=True, boot_loader=True))
    assert (asked.offer, asked.plan) == (BUILT, Plan(force=True, dry_run=True, boot_loader=True))
    assert callable(asked.accept)
    rollout.deploy(Choice(), Wish(accept=False))
    assert asked.plan == Plan()
    assert asked.accept is None


@pytest.mark.parametrize(("trial", "fails"), [(None, True), ({"slot": "A", "version": "1.0"}, False)])
def test_rollback_that_is_undone_fails_but_a_trial_that_is_given_up_does_not(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, trial: dict[str, str] | None, fails: bool
) -> None:
    asked.board.trial = trial
    back = Outcome("reverted", "A", "1.0", "asked for")
    monkeypatch.setattr(slots, "rollback", lambda _target, _accept: back)
    if fails:
        with pytest.raises(TargetError, match=r"it went back to 1\.0: asked for"):
            rollout.rollback(Choice())
    else:
        assert rollout.rollback(Choice()) == back
