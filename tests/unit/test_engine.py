# SPDX-License-Identifier: MIT
"""The engines: an unknown one, and the one that does not build yet, are refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board, doctor, engine, paths
from firmware.errors import UserError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def never(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown engine 'buildroot' .valid: debian, yocto"):
        engine.build(board.load("sockit"), "buildroot")
    assert list(tmp_path.iterdir()) == []


def test_yocto_moves_its_layers_by_another_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"valid: \./inv lock --update"):
        engine.build(board.load("sockit"), "yocto", update=True)
    assert list(tmp_path.iterdir()) == []


def test_host_that_cannot_build_is_refused_before_the_first_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise UserError("disk: 0.1 GiB free (valid: free at least 8 GiB)")

    monkeypatch.setattr(doctor, "require", full)
    with pytest.raises(UserError, match="free at least 8 GiB"):
        engine.build(board.load("sockit"))
    assert list(tmp_path.iterdir()) == []


def test_debian_engine_builds_several_boards_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(doctor, "require", lambda: None)
    monkeypatch.setattr(engine, "_debian", lambda one, update: asked.append((one.name, update)))
    engine.build_all([board.load("sockit"), board.load("de10-nano")], "debian", update=True)
    assert asked == [("sockit", True), ("de10-nano", False)]  # the archive is asked once


def test_variants_need_a_build() -> None:
    with pytest.raises(UserError, match=r"not built: .*valid: first \./inv build"):
        engine.bundle_inputs(board.load("sockit"))
