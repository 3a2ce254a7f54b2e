# SPDX-License-Identifier: MIT
"""Small C programs for a running board, linked statically: tests and benchmarks copy them there and run them.

    fuzz = program.build(PROGRAMS / "fuzz.c", UAPI)
    program.install(target, fuzz)            # -> "/run/fuzz"

A program is one C file; it is compiled for armhf with all warnings as errors, and kept as a stage.
"""

from __future__ import annotations

from pathlib import Path

from firmware import cross, paths, tool
from firmware.ssh import Target
from firmware.stage import Stage

PROGRAMS = paths.ROOT / "tests" / "emulated" / "programs"
UAPI = paths.ROOT / "recipes" / "capture-ring" / "include" / "uapi"
FLAGS = ("-std=gnu11", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
FOLDER = "/run"  # a tmpfs that programs may be run from


def build(source: Path, *include: Path) -> Path:
    """The program that `source` makes; `include` are folders of headers. Raises UserError, ToolError."""
    compiler = cross.compiler()
    headers = tuple(path for folder in (source.parent, *include) for path in sorted(folder.glob("*.h")))
    stage = Stage("program", texts={"compiler": compiler, "flags": " ".join(FLAGS)}, files=(source, *headers))

    def work(folder: Path) -> None:
        command: list[str | Path] = [f"{cross.PREFIX}gcc", *FLAGS, *(f"-I{path}" for path in include)]
        tool.capture([*command, "-o", folder / source.stem, source])

    return stage.make(work) / source.stem


def install(target: Target, built: Path) -> str:
    """Copy a program to the board; its path there."""
    path = f"{FOLDER}/{built.name}"
    target.put(built.read_bytes(), path, mode=0o755, sudo=True)
    return path
