# SPDX-License-Identifier: MIT
"""The mirror: what cannot be filled, and that what was filled is what checks and builds look for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import lock, mirror, openembedded
from firmware.errors import ToolError, UserError
from tests.unit.test_lock import commit, git, upstream

__all__ = ["upstream"]  # the fixture

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def layer(upstream: Path, monkeypatch: pytest.MonkeyPatch) -> lock.Layer:
    """A layer at the newest commit of the test's repository, which stands for a host."""
    monkeypatch.setenv("KAS_PREMIRRORS", f"https://example.org/group/one.git {upstream}")
    (upstream / "file").write_text("content")
    git(upstream, "add", "file")
    return lock.Layer("one", "https://example.org/group/one.git", "main", commit(upstream, "second"))


@pytest.mark.parametrize("place", ["{}/file", "{}/file/below", "/proc/none", "/proc/self/fd/none"])
def test_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--to: .* cannot be written \(valid: a folder"):
        mirror.folder(place.format(tmp_path))


def test_commit_that_upstream_lacks_is_said(layer: lock.Layer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no commit 0{40} \(valid: .*lock --update"):
        mirror.fill_layers(tmp_path / "mirror", [replace(layer, commit="0" * 40)])


def test_unreachable_host_leaves_nothing_behind(layer: lock.Layer, upstream: Path, tmp_path: Path) -> None:
    upstream.rename(upstream.with_name("gone"))
    with pytest.raises(ToolError, match="clone"):
        mirror.fill_layers(tmp_path / "mirror", [layer])
    assert not (tmp_path / "mirror/group/one.git").exists()


def test_filled_mirror_is_found_and_filled_again(layer: lock.Layer, upstream: Path, tmp_path: Path) -> None:
    place = tmp_path / "mirror"
    mirror.fill_layers(place, [layer])
    assert (openembedded.trees(place, [layer])["one"] / "file").read_text() == "content"
    newer = replace(layer, commit=commit(upstream, "third"))
    with pytest.raises(UserError, match=r"has no commit .* of one \(valid: fill the mirror anew"):
        openembedded.trees(place, [newer])
    mirror.fill_layers(place, [newer])
    assert openembedded.trees(place, [newer])["one"].name.endswith(newer.commit)


def test_mirror_without_the_layer_and_no_mirror_are_refused(
    layer: lock.Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"has no group/one\.git \(valid: a mirror as \./inv mirror fills it"):
        openembedded.trees(tmp_path, [layer])
    monkeypatch.setenv(lock.MIRRORS, str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"OE_MIRRORS: no folder"):
        openembedded.mirror()


def test_sources_are_fetched_into_the_mirror(tmp_path: Path) -> None:
    made = mirror.sources_command(boards.load(boards.DEFAULT_BOARD), tmp_path)
    assert made.environment["DL_DIR"] == str(tmp_path / "downloads")
    assert made.argv[-1] == "--runall=fetch"
    assert "BB_NO_NETWORK" not in made.environment
