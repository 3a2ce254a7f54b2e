# SPDX-License-Identifier: MIT
"""The kernel driver: `capture-ring.ko`, built from `recipes/capture-ring` against the prepared tree of a built kernel.

Takes seconds, and only when the driver or the kernel has changed. A warning is an error. The module is the same, bit
for bit, wherever it is built: the folder's name does not get into it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from firmware import cross, paths, tool
from firmware.errors import UserError
from firmware.stage import Stage

MODULE = "capture-ring.ko"
INPUTS = ("Kbuild", "include", "src")  # what the module is made of; anything else in the recipe does not rebuild it


def make_command(tree: Path, folder: Path) -> list[str]:
    """Command that builds the module whose sources are in `folder` against the prepared kernel `tree`."""
    tool.need(f"{cross.PREFIX}gcc", "gcc-arm-linux-gnueabihf")
    return [
        tool.need("make", "make"),
        "-C",
        str(tree),
        f"M={folder}",
        "ARCH=arm",
        f"CROSS_COMPILE={cross.PREFIX}",
        f"KCFLAGS=-Werror -ffile-prefix-map={folder}=capture-ring",
        "modules",
    ]


def copy_sources(recipe: Path, folder: Path) -> None:
    """Copy what the module is made of. Raises UserError: `recipe` is no driver recipe."""
    missing = [name for name in INPUTS if not (recipe / name).exists()]
    if missing:
        raise UserError(f"{recipe}: no {', '.join(missing)} (valid: a folder with {', '.join(INPUTS)})")
    folder.mkdir(parents=True)
    for name in INPUTS:
        if (recipe / name).is_dir():
            shutil.copytree(recipe / name, folder / name)
        else:
            shutil.copyfile(recipe / name, folder / name)


def build(kernel: Path, recipe: Path = paths.ROOT / "recipes" / "capture-ring") -> Path:
    """Folder with `capture-ring.ko`, for the kernel whose result folder is `kernel`. Raises UserError, ToolError."""
    tree = kernel / "tree"
    if not tree.is_dir():
        raise UserError(f"{kernel}: no prepared kernel (valid: a result folder of firmware/kernel.py)")

    def work(folder: Path) -> None:
        scratch = folder / "scratch"
        copy_sources(recipe, scratch)
        tool.run(make_command(tree, scratch), log=scratch / "make.log")
        shutil.copyfile(scratch / MODULE, folder / MODULE)
        shutil.rmtree(scratch)

    texts = {"kernel": tree.resolve().parent.name, "code": Path(__file__).read_text(encoding="utf-8")}
    return Stage("capture-ring", texts=texts, files=tuple(recipe / name for name in INPUTS)).make(work)
