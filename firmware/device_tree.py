# SPDX-License-Identifier: MIT
"""A board's device tree: mainline's source, or the board's own `board/<device_tree>.dts` where mainline has none.

Compiled with `__symbols__` (`dtc -@`), which an overlay needs. It takes a second and does not need a built kernel, so a
changed device tree does not rebuild one.
"""

from __future__ import annotations

from pathlib import Path

from firmware import cross, paths, tool
from firmware.board import Board
from firmware.errors import UserError

FOLDER = "arch/arm/boot/dts/intel/socfpga"  # in Linux since 6.5


def source(board: Board, linux: Path, own: Path = paths.BOARDS) -> Path:
    """The board's `.dts`: its own wins. Raises UserError: neither `own` nor the kernel source has it."""
    name = f"{board.device_tree}.dts"
    for path in (own / name, linux / FOLDER / name):
        if path.is_file():
            return path
    known = sorted(path.stem for path in (linux / FOLDER).glob("socfpga_cyclone5_*.dts"))
    raise UserError(
        f"board {board.name}: device_tree: {board.device_tree!r} is not in the kernel's source "
        f"(valid: {', '.join(known)}, or a file {own / name})"
    )


def compile_tree(dts: Path, linux: Path, target: Path) -> None:
    """Compile `dts` to `target`. Raises ToolError: the preprocessor or dtc refuses it."""
    prepared = target.with_suffix(".pre.dts")
    include = [f"-I{linux / FOLDER}", f"-I{linux / 'arch/arm/boot/dts'}", f"-I{linux / 'include'}"]
    preprocess = [f"{cross.PREFIX}gcc", "-E", "-nostdinc", "-undef", "-D__DTS__", "-P", "-x", "assembler-with-cpp"]
    tool.capture([*preprocess, *include, "-o", prepared, dts])
    dtc = tool.need("dtc", "device-tree-compiler")
    tool.capture([dtc, "-@", "-q", "-I", "dts", "-O", "dtb", "-o", target, prepared])
    prepared.unlink()
