# SPDX-License-Identifier: MIT
"""Kernel modules that only tests use: built like the driver, loaded on a running board, unloaded behind the block."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware import driver, paths, tool
from firmware.ssh import Target
from firmware.stage import Stage

MODULES = paths.ROOT / "tests" / "emulated" / "modules"
FOLDER = "/run"


def build(name: str, kernel: Path) -> Path:
    """`<name>.ko` of the sources in `modules/<name>`, for a result of firmware/kernel.py. Raises ToolError."""
    sources = MODULES / name

    def work(folder: Path) -> None:
        scratch = folder / "scratch"
        shutil.copytree(sources, scratch)
        tool.run([*driver.make_command(kernel / "tree", scratch), "W=1"], log=scratch / "make.log")
        shutil.copyfile(scratch / f"{name}.ko", folder / f"{name}.ko")
        shutil.rmtree(scratch)

    texts = {"kernel": (kernel / "tree").resolve().parent.name, "code": Path(__file__).read_text(encoding="utf-8")}
    return Stage("test-module", texts=texts, files=(sources,)).make(work) / f"{name}.ko"


@contextmanager
def loaded(target: Target, module: Path, *parameters: str) -> Iterator[None]:
    """The module is loaded for the length of the block. Raises TargetError: refused, or in use at the end."""
    path = f"{FOLDER}/{module.name}"
    target.put(module.read_bytes(), path, sudo=True)
    target.output(["insmod", path, *parameters], sudo=True)
    try:
        yield
    finally:
        target.output(["rmmod", module.stem], sudo=True)
