# SPDX-License-Identifier: MIT
"""Stages: nothing half-done is ever a result, nothing unchanged is done twice, every input counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.stage import Stage

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(folder: Path) -> None:
    (folder / "out").write_text("made")


def leftovers(stage: Stage) -> list[str]:
    return [path.name for path in stage.result.parent.iterdir() if path.is_dir() and path.name.startswith(".")]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_broken_off_work_is_no_result_and_leaves_nothing(error: type[BaseException]) -> None:
    stage = Stage("x")

    def work(folder: Path) -> None:
        write(folder)
        raise error

    with pytest.raises(error):
        stage.make(work)
    assert not stage.done()
    assert leftovers(stage) == []


def test_what_a_killed_build_left_is_removed() -> None:
    stage = Stage("x")
    killed = stage.result.parent / f".{stage.result.name}.abcdefgh"
    killed.mkdir(parents=True)
    (killed / "half").write_text("done")
    assert (stage.make(write) / "out").read_text() == "made"
    assert leftovers(stage) == []


def test_done_work_is_not_done_again() -> None:
    stage = Stage("x", texts={"a": "1"})
    stage.make(write)

    def again(_folder: Path) -> None:
        raise AssertionError("done twice")

    assert Stage("x", texts={"a": "1"}).make(again) == stage.result


def test_every_input_changes_the_key(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("1")
    base = Stage("base")
    stages = [Stage("x"), Stage("y"), Stage("x", {"a": "1"}), Stage("x", {"a": "2"}), Stage("x", after=(base,))]
    keys = [stage.key for stage in stages] + [Stage("x", files=(source,)).key]
    source.write_text("2")
    keys.append(Stage("x", files=(source,)).key)
    source.chmod(0o755)
    keys.append(Stage("x", files=(source,)).key)
    assert len(set(keys)) == len(keys)
