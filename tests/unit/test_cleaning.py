# SPDX-License-Identifier: MIT
"""Cleaning: never under a running board, never the keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import cleaning, emulator_session, paths
from firmware.errors import UserError

pytestmark = pytest.mark.unit


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for folder in (tmp_path / "build" / "sockit" / "emulator", paths.cache() / "stages", paths.data() / "keys"):
        folder.mkdir(parents=True)
    return tmp_path


def test_running_board_is_not_pulled_from_under_its_user(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator_session, "running", lambda name: name == "sockit")
    with pytest.raises(UserError, match=r"--stop --board=sockit"):
        cleaning.clean()
    assert (places / "build" / "sockit").is_dir()


def test_cache_stays_unless_it_is_asked_for(places: Path) -> None:
    cleaning.clean()
    assert not (places / "build").exists()
    assert (paths.cache() / "stages").is_dir()


def test_keys_survive_everything(places: Path) -> None:
    cleaning.clean(cache=True)
    assert not paths.cache().exists()
    assert (paths.data() / "keys").is_dir()


def test_nothing_to_clean_is_no_error(places: Path) -> None:
    cleaning.clean(cache=True)
    cleaning.clean(cache=True)
