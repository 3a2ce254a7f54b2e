# SPDX-License-Identifier: MIT
"""Modules of mainline's own, built for the image's kernel from that kernel's own source file.

`dmatest` the image does not have: it is the word of somebody else on the emulated mSGDMA. `altera-msgdma` the image
has; a variant of it shows what a misbehaviour of it comes from. Only the one file is compiled, against the prepared
tree, which takes seconds. Raises ToolError (the compiler).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from firmware import driver, kernel, tool
from firmware.stage import Stage

FOLDER = "drivers/dma"
HEADERS = ("dmaengine.h",)


def build(built: Path, name: str = "dmatest", *edits: tuple[str, str]) -> Path:
    """`<name>.ko`, for a result of firmware/kernel.py; the first text of an edit is found once and replaced."""
    folder = kernel.linux(kernel.source()) / FOLDER
    text = (folder / f"{name}.c").read_text(encoding="utf-8")
    for found, wanted in edits:
        assert text.count(found) == 1, f"{name}.c of this kernel is another one: {found!r} is not in it once"
        text = text.replace(found, wanted)

    def work(result: Path) -> None:
        scratch = result / "scratch"
        scratch.mkdir()
        for header in HEADERS:
            shutil.copyfile(folder / header, scratch / header)
        (scratch / f"{name}.c").write_text(text, encoding="utf-8")
        (scratch / "Kbuild").write_text(f"obj-m := {name}.o\n", encoding="utf-8")
        tool.run(driver.make_command(built / "tree", scratch), log=scratch / "make.log")
        shutil.copyfile(scratch / f"{name}.ko", result / f"{name}.ko")
        shutil.rmtree(scratch)

    texts = {
        "kernel": (built / "tree").resolve().parent.name,
        "source": text,
        "code": Path(__file__).read_text("utf-8"),
    }
    return Stage(f"mainline-{name}", texts=texts).make(work) / f"{name}.ko"
