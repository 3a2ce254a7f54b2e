# SPDX-License-Identifier: MIT
"""The driver builds without a warning against Debian's kernels: the oldest, the image's own series, and the newest.

Slow: each kernel is unpacked and prepared anew, some two minutes; nothing of it is kept but Debian's package.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from firmware import cross, driver, paths, sources, tool

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

RECIPE = paths.ROOT / "recipes" / "capture-ring"
# without a whole kernel modpost can't know who exports what, and says so
EXPECTED = re.compile(
    r"Module\.symvers is missing|Modules may not have|You may get many|You can set KBUILD|if you want to proceed"
    r"|unresolved symbol warnings|undefined!"
)


def series(suite: str) -> str:
    """The newest series ("7.2") of which `suite` has the source."""
    newest = sources.Index(suite).newest("linux-source", binary=True).version
    match = re.match(r"\d+\.\d+", newest)
    assert match, newest
    return match[0]


def prepared(package: str, suite: str, folder: Path) -> Path:
    """Output folder of a kernel against which a module can be compiled."""
    (archive,) = sources.fetch(package, suite, binary=True).tree.glob("usr/src/linux-source-*.tar.*")
    tree, output, log = folder / "tree", folder / "output", folder / "log"
    tree.mkdir()
    tool.run(["tar", "-xf", archive, "-C", tree, "--strip-components=1", "--no-same-owner"], log)
    cross.make("linux", tree, output, ["socfpga_defconfig"], {}, log)
    config = output / ".config"
    config.write_text(config.read_text() + "CONFIG_FTRACE=y\nCONFIG_ENABLE_DEFAULT_TRACERS=y\n")
    cross.make("linux", tree, output, ["olddefconfig", "modules_prepare"], {}, log)
    return output


def complaints(output: Path, recipe: Path, folder: Path) -> list[str]:
    """What a build of the driver in `folder` says, but for what a kernel that was only prepared explains."""
    driver.copy_sources(recipe, folder)
    command = [*driver.make_command(output, folder), "KBUILD_MODPOST_WARN=1", "W=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    lines = [line for line in done.stderr.splitlines() if not EXPECTED.search(line)]
    return lines if done.returncode == 0 else [*lines, done.stdout]


def check(package: str, suite: str, folder: Path) -> None:
    output = prepared(package, suite, folder)
    assert complaints(output, RECIPE, folder / "good") == []
    spoilt = folder / "spoilt"
    driver.copy_sources(RECIPE, spoilt)
    with (spoilt / "src" / "mmap.c").open("a") as stream:
        stream.write("static int unused;\n")
    assert any("defined but not used" in line for line in complaints(output, spoilt, folder / "bad"))


def test_oldest_kernel(tmp_path: Path) -> None:
    check("linux-source-6.1", "bookworm", tmp_path)


def test_stable_kernel(tmp_path: Path) -> None:
    check("linux-source-6.12", "trixie", tmp_path)


def test_newest_kernel(tmp_path: Path) -> None:
    newest = series(sources.BACKPORTS)
    assert tuple(map(int, newest.split("."))) > (6, 12)
    check(f"linux-source-{newest}", sources.BACKPORTS, tmp_path)
