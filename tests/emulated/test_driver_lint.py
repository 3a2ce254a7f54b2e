# SPDX-License-Identifier: MIT
"""The driver under the kernel's own linters: no warning from the compiler (W=1), sparse, or checkpatch --strict."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import driver, kernel, paths, tool

pytestmark = pytest.mark.emulated

RECIPE = paths.ROOT / "recipes" / "capture-ring"
# the version check of compat.h is what that file is for
IGNORED = "LINUX_VERSION_CODE,CONSTANT_COMPARISON"


@pytest.fixture(scope="module")
def built() -> Path:
    return kernel.build(boards.load(boards.DEFAULT_BOARD), "release")


def make(tree: Path, recipe: Path, folder: Path, *more: str) -> str:
    """Standard error of a build of the driver in `folder`."""
    driver.copy_sources(recipe, folder)
    command = [*driver.make_command(tree, folder), *more]
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stderr if done.returncode == 0 else done.stdout + done.stderr


def spoilt(folder: Path, line: str) -> Path:
    """The recipe with a bad line in it."""
    driver.copy_sources(RECIPE, folder)
    with (folder / "src" / "core.c").open("a") as stream:
        stream.write(line)
    return folder


@pytest.mark.parametrize(
    ("line", "more", "said"),
    [
        ("static int unused;\n", (), "defined but not used"),
        ("void nobody_declared_this(void) {}\n", ("W=1",), "no previous prototype"),
        ("void __iomem *it_is_io; void *it_is_not; void f(void); void f(void) { it_is_not = it_is_io; }\n",
         ("C=2",), "different address spaces"),
    ],
)  # fmt: skip
def test_linter_finds_a_bad_line(built: Path, tmp_path: Path, line: str, more: tuple[str, ...], said: str) -> None:
    assert said in make(built / "tree", spoilt(tmp_path / "bad", line), tmp_path / "make", *more)


def test_compiler_and_sparse_have_nothing_to_say(built: Path, tmp_path: Path) -> None:
    tool.need("sparse", "sparse")
    assert make(built / "tree", RECIPE, tmp_path / "make", "W=1", "C=2") == ""


def cocci(tree: Path, folder: Path, *more: str) -> list[str]:
    """What the kernel's semantic patches report about the driver in `folder`."""
    command = ["make", "-C", str(tree), f"M={folder}", "ARCH=arm", "coccicheck", "MODE=report", "J=2", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith(str(folder))]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("spatch") is None, reason="no spatch (Debian package coccinelle)")
def test_coccicheck_has_nothing_to_say(built: Path, tmp_path: Path) -> None:
    bad = spoilt(tmp_path / "bad", "void f(void *p); void f(void *p) { if (p) kfree(p); }\n")
    patch = (built / "tree" / "source").resolve() / "scripts" / "coccinelle" / "free" / "ifnullfree.cocci"
    assert any("NULL check before" in line for line in cocci(built / "tree", bad, f"COCCI={patch}"))
    driver.copy_sources(RECIPE, tmp_path / "good")
    assert cocci(built / "tree", tmp_path / "good") == []


def test_checkpatch_has_nothing_to_say(built: Path) -> None:
    checker = (built / "tree" / "source").resolve() / "scripts" / "checkpatch.pl"
    options = ["--strict", "--no-tree", "--terse", "--max-line-length=120", f"--ignore={IGNORED}"]
    files = sorted(path.relative_to(RECIPE) for path in RECIPE.rglob("*.[ch]"))  # include/uapi/ has rules of its own
    assert len(files) > 10
    command: list[str | Path] = ["/usr/bin/env", "perl", checker, *options, "-f", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=RECIPE)
    assert (done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("total: 0 ")]) == (0, [])


def test_module_is_the_same_wherever_it_is_built(built: Path, tmp_path: Path) -> None:
    make(built / "tree", RECIPE, tmp_path / "one")
    make(built / "tree", RECIPE, tmp_path / "another")
    first, second = (tmp_path / name / driver.MODULE for name in ("one", "another"))
    assert first.read_bytes() == second.read_bytes()
    assert str(tmp_path).encode() not in first.read_bytes()


def test_module_belongs_to_the_kernel(built: Path) -> None:
    module = driver.build(built) / driver.MODULE
    release = (built / "release").read_text().strip()
    assert tool.capture([tool.need("modinfo", "kmod"), "-F", "vermagic", module]).split()[0] == release
    alias = tool.capture([tool.need("modinfo", "kmod"), "-F", "alias", module])
    assert "of:N*T*Ccyclone-capture,capture-ring" in alias.split()
