# SPDX-License-Identifier: MIT
"""The linters, run as tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firmware import paths

pytestmark = pytest.mark.unit

TYPED = (
    "firmware",
    "tasks.py",
    "tests",
    "host/cyclone_capture",
    "recipes/captured/captured",
    "recipes/field-update/field_update",
    "recipes/hawkbit-client/hawkbit_client",
)


def tracked(*patterns: str) -> list[str]:
    """Files of the tree that match, as git sees them (untracked ones that are not ignored included)."""
    command = ["/usr/bin/env", "git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    out = subprocess.run(command, cwd=paths.ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in out.splitlines() if (paths.ROOT / name).is_file()]


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy", *TYPED]])
def test_linter_is_clean(command: list[str]) -> None:
    run = subprocess.run([sys.executable, "-m", *command], cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_source_file_names_its_licence() -> None:
    files = tracked("*.py", "*.c", "*.h", "*.sh", "*.yaml", "*.toml", "inv", ".ci/run*")
    assert files
    assert [name for name in files if "SPDX-License-Identifier:" not in (paths.ROOT / name).read_text()[:4000]] == []


def test_modules_stay_small() -> None:
    long = {name: len((paths.ROOT / name).read_text().splitlines()) for name in tracked("*.py")}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_links_lead_nowhere_outside_the_tree() -> None:
    """A link to anything else is a path of somebody's machine; /dev/null masks a unit or a rule of udev."""
    command = ["/usr/bin/env", "git", "ls-files", "--stage"]
    out = subprocess.run(command, cwd=paths.ROOT, check=True, capture_output=True, text=True).stdout
    links = [paths.ROOT / line.split("\t")[1] for line in out.splitlines() if line.startswith("120000")]
    assert links
    assert [link for link in links if str(link.readlink()) != "/dev/null" and not _inside(link)] == []


def _inside(link: Path) -> bool:
    return not link.readlink().is_absolute() and link.resolve(strict=True).is_relative_to(paths.ROOT)
