# SPDX-License-Identifier: MIT
"""The cross toolchain: Debian's armhf GCC, and how `make` is called with it for the kernel and U-Boot.

`ccache` is used when the host has it; it changes how long a build takes, not what comes out.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from firmware import paths, progress, tool

PREFIX = "arm-linux-gnueabihf-"


@functools.cache
def compiler() -> str:
    """The compiler's own first line, for a stage's key. Raises UserError when it is not installed."""
    gcc = tool.need(f"{PREFIX}gcc", "gcc-arm-linux-gnueabihf")
    return tool.capture([gcc, "--version"]).splitlines()[0]


def command(source: Path, output: Path) -> list[str]:
    """`make` for the tree `source` with its output in `output`, without a target."""
    cc = f"{PREFIX}gcc"
    if shutil.which("ccache"):
        cc = f"ccache {cc}"
    return [
        tool.need("make", "make"),
        "-C",
        str(source),
        f"O={output}",
        f"-j{len(os.sched_getaffinity(0))}",
        "ARCH=arm",
        f"CROSS_COMPILE={PREFIX}",
        f"CC={cc}",
        # what the host happens to have would get into the configuration, and with it into the kernel
        "RUSTC=no-rustc",
        "PAHOLE=no-pahole",
    ]


def environment() -> dict[str, str]:
    """What a build gets beside the caller's environment.

    No CCACHE_BASEDIR: it would rewrite the source's path before the compiler's prefix map sees it, and so change the
    result. It is not needed: what depends on the output's folder is relative, and the source's folder is fixed.
    """
    return {
        "LC_ALL": "C",
        "TZ": "UTC",
        "CCACHE_DIR": str(paths.cache() / "ccache"),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_MAXSIZE": "2G",
    }


def make(name: str, source: Path, output: Path, targets: list[str], extra: Mapping[str, str], log: Path) -> None:
    """Make `targets` out of tree, showing progress under `name`; `extra` adds to the environment. Raises ToolError."""
    with progress.watch(name, log):
        tool.run([*command(source, output), *targets], log=log, environment={**environment(), **extra})
