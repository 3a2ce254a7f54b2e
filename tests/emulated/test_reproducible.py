# SPDX-License-Identifier: MIT
"""The same inputs give the same image, bit for bit: slot and image are made a second time and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware import engine, paths

pytestmark = pytest.mark.emulated

MADE_AGAIN = ("rootfs", "image", "bundle", "sbom")


@pytest.fixture
def half_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that has what takes long, but neither slot nor image."""
    known = paths.cache()
    fresh = tmp_path / "cache" / known.name
    (fresh / "stages").mkdir(parents=True)
    for source, target in ((known, fresh), (known / "stages", fresh / "stages")):
        for folder in source.iterdir():
            if folder.name not in (*MADE_AGAIN, "stages"):
                (target / folder.name).symlink_to(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    return fresh / "stages"


def test_image_made_twice_is_the_same(request: pytest.FixtureRequest) -> None:
    board = boards.load(boards.DEFAULT_BOARD)
    first = engine.build(board)
    stages: Path = request.getfixturevalue("half_empty_cache")
    second = engine.build(board)
    assert (stages / "rootfs").is_dir()
    assert second.rootfs == first.rootfs
    assert second.files["image"] == first.files["image"]
    assert second.files["sbom"] == first.files["sbom"]
