# SPDX-License-Identifier: MIT
"""The driver's build: wrong folders are refused; what is not part of the module does not rebuild it."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import cross, driver, paths
from firmware.errors import UserError

pytestmark = pytest.mark.unit


def test_kernel_without_a_prepared_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prepared kernel \(valid: a result folder of firmware/kernel\.py\)"):
        driver.build(tmp_path)


def test_folder_that_is_no_driver_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    with pytest.raises(UserError, match=r"no Kbuild, include \(valid: a folder with Kbuild, include, src\)"):
        driver.copy_sources(tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_missing_compiler_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross, "PREFIX", "no-such-")
    with pytest.raises(UserError, match="install Debian's 'gcc-arm-linux-gnueabihf'"):
        driver.make_command(tmp_path, tmp_path)


def test_recipe_has_what_the_module_is_made_of(tmp_path: Path) -> None:
    driver.copy_sources(paths.ROOT / "recipes" / "capture-ring", tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == sorted(driver.INPUTS)
