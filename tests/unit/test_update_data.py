# SPDX-License-Identifier: MIT
"""Migration of the data partition, its way back, and the factory reset, with the power cut before each step."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware import paths

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import data as data_module
from field_update.data import Data
from field_update.state import INSTALLED, State, Store, Trial

pytestmark = pytest.mark.unit
TRIAL = Trial("B", "2.0", 600, INSTALLED)
HOOK = """#!/bin/sh
set -e
cd "{root}"
case $1 in
paths) echo /data/settings; echo data/notes ;;
run) echo new >settings/a; rm -f settings/b; echo made >notes ;;
esac
"""


class PowerCut(Exception):
    """The power went."""


class Board:
    """A data partition in a folder, and hooks."""

    def __init__(self, folder: Path) -> None:
        """Settings, a recording and an identity, from before the upgrade."""
        self.root, self.hooks, self.said = folder / "data", folder / "hooks", list[str]()
        self.hooks.mkdir()
        for name in ("settings/a", "settings/b", "recordings/r", "identity/key"):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("old\n")
        self.store = Store(self.root / "field-update")

    def hook(self, text: str = HOOK) -> None:
        """Install the hook."""
        path = self.hooks / "10-settings"
        path.write_text(text.format(root=self.root))
        path.chmod(0o755)

    def boot(self, slot: str) -> None:
        """What the board does with its data when `slot` boots."""
        Data(self.root, self.said.append, self.hooks).boot(slot)

    def content(self) -> dict[str, str]:
        """All files but those of field-update."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        found = {str(path.relative_to(self.root)): path.read_text() for path in files}
        return {name: text for name, text in sorted(found.items()) if not name.startswith("field-update/")}


OLD = {"identity/key": "old\n", "recordings/r": "old\n", "settings/a": "old\n", "settings/b": "old\n"}
NEW = {"identity/key": "old\n", "notes": "made\n", "recordings/r": "old\n", "settings/a": "new\n"}


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\nexit 3\n", "migration: .*10-settings paths: 3"),
        ("#!/bin/sh\n[ $1 = paths ] || {{ echo no room >&2; exit 1; }}\n", "migration: .*10-settings run: no room"),
        ("#!/bin/sh\necho /data/../etc\n", "migration: /data/../etc is not to be migrated"),
        ("#!/bin/sh\necho field-update\n", "migration: field-update is not to be migrated"),
    ],
)
def test_hook_that_fails_gives_up_the_trial(board: Board, text: str, said: str) -> None:
    board.hook(text)
    board.store.save(State(TRIAL))
    board.boot("B")
    trial = board.store.load()[0].trial
    assert trial is not None
    assert re.match(said, trial.failed)
    board.boot("A")
    assert board.content() == OLD


def test_nothing_happens_without_a_trial_of_this_slot(board: Board) -> None:
    board.hook()
    board.boot("B")
    board.store.save(State(TRIAL))
    board.boot("A")
    board.store.save(State(TRIAL._replace(failed="health")))
    board.boot("B")
    assert board.content() == OLD
    assert board.said == []


def test_what_a_committed_version_has_migrated_stays(board: Board) -> None:
    board.hook()
    board.store.save(State(TRIAL))
    board.boot("B")
    assert board.content() == NEW
    board.store.save(State())
    board.boot("B")
    board.boot("B")
    assert board.content() == NEW
    assert not (board.root / "field-update/before").exists()
    board.boot("A")
    assert board.content() == NEW


def test_a_board_that_goes_back_has_its_data_back(board: Board) -> None:
    board.hook()
    board.store.save(State(TRIAL))
    board.boot("B")
    (board.root / "recordings/r").write_text("recorded on trial\n")
    board.boot("A")
    assert board.content() == {**OLD, "recordings/r": "recorded on trial\n"}
    assert not (board.root / "field-update/before").exists()


def cutting(monkeypatch: pytest.MonkeyPatch, left: int) -> Callable[[], int]:
    """Every copy, move, removal and hook counts; the power goes before the one behind the first `left`."""
    done = 0

    def guarded(name: str) -> None:
        really = getattr(data_module, name)

        def step(*words: object) -> object:
            nonlocal done
            if done == left:
                raise PowerCut
            done += 1
            return really(*words)

        monkeypatch.setattr(data_module, name, step)

    for name in ("copy", "move", "remove", "_run"):
        guarded(name)
    return lambda: done


@pytest.mark.parametrize("left", range(12))
@pytest.mark.parametrize("then", ["B", "A"])
def test_power_cut_at_any_step_of_a_migration(
    board: Board, monkeypatch: pytest.MonkeyPatch, left: int, then: str
) -> None:
    board.hook()
    board.store.save(State(TRIAL))
    with monkeypatch.context() as patch:
        cutting(patch, left)
        with contextlib.suppress(PowerCut):
            board.boot("B")
    with monkeypatch.context() as patch:
        cutting(patch, left)
        with contextlib.suppress(PowerCut):
            board.boot(then)
    board.boot(then)
    assert board.content() == (NEW if then == "B" else OLD)


@pytest.mark.parametrize("left", range(6))
def test_power_cut_at_any_step_of_a_factory_reset(board: Board, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    Data(board.root, board.said.append, board.hooks).ask_reset()
    with monkeypatch.context() as patch:
        cutting(patch, left)
        with contextlib.suppress(PowerCut):
            board.boot("A")
    board.boot("A")
    assert board.content() == {"identity/key": "old\n"}
    assert not (board.root / "field-update/reset").exists()
    (board.root / "recordings").mkdir()
    (board.root / "recordings/r").write_text("later\n")
    board.boot("A")
    assert "recordings/r" in board.content(), "one reset is asked for, one is made"


def test_copy_says_for_which_slot_it_is(board: Board) -> None:
    board.hook()
    board.store.save(State(TRIAL))
    board.boot("B")
    facts = json.loads((board.root / "field-update/before/facts.json").read_text())
    assert facts == {"slot": "B", "paths": ["notes", "settings"]}
