# SPDX-License-Identifier: MIT
"""The doctor: what blocks is said before anything is written, with what to do."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from firmware import doctor, paths
from firmware.errors import UserError

pytestmark = pytest.mark.unit

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_full_disk_blocks_and_says_how_much_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(100, 99, 1 << 20))
    with pytest.raises(UserError, match=r"disk: 0\.0 GiB free at .* \(valid: free at least 8 GiB"):
        doctor.require()


def test_missing_tool_blocks_and_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda tool, path: None if tool == "bmaptool" else f"/usr/bin/{tool}")
    with pytest.raises(UserError, match=r"missing: bmaptool \(valid: run \./inv --setup, .* bmap-tools\)"):
        doctor.require()


def test_unwritable_cache_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    assert doctor.check_cache_writable().verdict == "block"


def test_every_tool_comes_from_a_package_that_the_wrapper_installs() -> None:
    lines = (paths.ROOT / "host-packages.txt").read_text().splitlines()
    packages = {line.split("#")[0].strip() for line in lines} - {""}
    assert set(doctor.TOOLS.values()) <= packages


def test_every_host_package_has_a_reason() -> None:
    lines = (paths.ROOT / "host-packages.txt").read_text().splitlines()[1:]
    assert [line for line in lines if line and "#" not in line] == []
