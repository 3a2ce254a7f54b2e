# SPDX-License-Identifier: MIT
"""Mainline's `dmatest`, built for the image's kernel from that kernel's own source file, unchanged.

The image does not have it: it is the word of somebody else on the emulated mSGDMA. (`altera-msgdma` the image has.)
Only this file is compiled, against the prepared tree, which takes seconds. Raises ToolError (the compiler).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from firmware import driver, kernel, tool
from firmware.stage import Stage

SOURCE = "drivers/dma/dmatest.c"
MODULE = "dmatest.ko"


def build(built: Path) -> Path:
    """`dmatest.ko`, for a result of firmware/kernel.py."""
    source = kernel.linux(kernel.source()) / SOURCE

    def work(folder: Path) -> None:
        scratch = folder / "scratch"
        scratch.mkdir()
        shutil.copyfile(source, scratch / source.name)
        (scratch / "Kbuild").write_text("obj-m := dmatest.o\n", encoding="utf-8")
        tool.run(driver.make_command(built / "tree", scratch), log=scratch / "make.log")
        shutil.copyfile(scratch / MODULE, folder / MODULE)
        shutil.rmtree(scratch)

    texts = {"kernel": (built / "tree").resolve().parent.name, "code": Path(__file__).read_text(encoding="utf-8")}
    return Stage("mainline-dmatest", texts=texts).make(work) / MODULE
