# SPDX-License-Identifier: MIT
"""The kernel: Debian 13's `linux-source`, `socfpga_defconfig` and the fragments that both engines share.

Two stages. `kernel-build` is the long one; it does not know about boards, so one kernel serves all. `kernel` adds the
board's device tree. Flavour "release" takes `capture.cfg`; "debug" takes `debug.cfg` behind it. Every line of a
fragment is asserted on the finished `.config`. The result depends on nothing of this machine: time, user, host and
paths are fixed, so the same inputs give the same bits.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from firmware import cross, device_tree, kconfig, paths, sources, tool
from firmware.board import Board
from firmware.errors import UserError
from firmware.stage import Stage

PACKAGE, SUITE = "linux-source-6.12", "trixie"
FRAGMENTS = paths.ROOT / "layers/meta-cyclone-capture/recipes-kernel/linux/files"
FLAVOURS = {"release": ("capture.cfg",), "debug": ("capture.cfg", "debug.cfg")}
DEFCONFIG = "socfpga_defconfig"
# What `make M=...` needs of the output folder; the rest, 400 MB of objects, is not kept.
PREPARED = (".config", "Makefile", "Module.symvers", "include", "scripts", "arch/arm/include/generated", "source")


def source() -> sources.Source:
    """The Debian package that the kernel comes from (for the manifest, too)."""
    return sources.fetch(PACKAGE, SUITE, binary=True)


def fragments(flavour: str) -> dict[str, str]:
    """Fragments of a flavour, texts by name, in order. Raises UserError: unknown flavour."""
    if flavour not in FLAVOURS:
        raise UserError(f"unknown kernel flavour {flavour!r} (valid: {', '.join(FLAVOURS)})")
    return {name: (FRAGMENTS / name).read_text(encoding="utf-8") for name in FLAVOURS[flavour]}


def linux(package: sources.Source) -> Path:
    """The kernel's unpacked source tree; it is kept, because a module is built against it."""

    def work(folder: Path) -> None:
        (archive,) = package.tree.glob("usr/src/linux-source-*.tar.*")
        tool.run(["tar", "-xf", archive, "-C", folder, "--strip-components=1", "--no-same-owner"], folder / "tar.log")
        (folder / "tar.log").unlink()

    return Stage("linux-source", texts={"package": package.identity}).make(work)


def fixed(epoch: int) -> dict[str, str]:
    """Environment that keeps this machine out of the kernel's banner; `epoch` in seconds since 1970."""
    return {
        "KBUILD_BUILD_TIMESTAMP": time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(epoch)),
        "KBUILD_BUILD_USER": "cyclone",
        "KBUILD_BUILD_HOST": "capture",
        "KBUILD_BUILD_VERSION": "1",
    }


def _configure(tree: Path, output: Path, parts: dict[str, str], log: Path) -> None:
    cross.make("linux", tree, output, [DEFCONFIG], {}, log)
    config = output / ".config"
    config.write_text(kconfig.merge(config.read_text(), parts.values()))
    cross.make("linux", tree, output, ["olddefconfig"], {}, log)
    kconfig.require("kernel", config.read_text(), parts)


def _keep(output: Path, folder: Path) -> None:
    """Move what is of use from the build's `output` into the result."""
    shutil.copyfile(output / "arch/arm/boot/zImage", folder / "zImage")
    shutil.copyfile(output / "System.map", folder / "System.map")
    shutil.copyfile(output / ".config", folder / "config")
    shutil.copyfile(output / "include/config/kernel.release", folder / "release")
    for name in PREPARED:
        target = folder / "tree" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (output / name).rename(target)
    for path in (folder / "tree" / "scripts").rglob("*.o"):
        path.unlink()
    shutil.rmtree(output)


def compile_kernel(flavour: str) -> Path:
    """`zImage`, `modules/`, `config`, `release`, `System.map` and `tree/` of a flavour, for all boards."""
    parts = fragments(flavour)
    package = source()
    tree = linux(package)

    def work(folder: Path) -> None:
        output, log = folder / "build", folder / "build.log"
        _configure(tree, output, parts, log)
        cross.make("linux", tree, output, ["zImage", "modules"], fixed(package.epoch), log)
        install = ["modules_install", f"INSTALL_MOD_PATH={folder / 'modules'}", "DEPMOD=true"]
        cross.make("linux", tree, output, install, fixed(package.epoch), log)
        for link in (folder / "modules").glob("lib/modules/*/build"):
            link.unlink()
        _keep(output, folder)
        log.unlink()

    code = "".join(Path(module).read_text(encoding="utf-8") for module in (__file__, cross.__file__))
    texts = {"package": package.identity, "compiler": cross.compiler(), "code": code, **parts}
    return Stage("kernel-build", texts=texts).make(work)


def build(board: Board, flavour: str = "release") -> Path:
    """The kernel for `board`: `zImage`, `board.dtb`, `modules/lib/modules/<release>/`, `config`, `release`, `tree/`.

    `tree` is what `make -C tree M=<folder> ARCH=arm CROSS_COMPILE=...` builds a module against.
    Raises UserError (flavour, device tree, a fragment's line without effect) or ToolError (a compiler, no network).
    """
    compiled = compile_kernel(flavour)
    tree = linux(source())
    dts = device_tree.source(board, tree)

    def work(folder: Path) -> None:
        device_tree.compile_tree(dts, tree, folder / "board.dtb")
        for name in ("zImage", "config", "release", "System.map"):
            shutil.copyfile(compiled / name, folder / name)
        shutil.copytree(compiled / "modules", folder / "modules", symlinks=True)
        (folder / "tree").symlink_to(compiled / "tree")

    code = "".join(Path(module).read_text(encoding="utf-8") for module in (__file__, device_tree.__file__))
    texts = {"compiled": compiled.name, "compiler": cross.compiler(), "code": code}
    return Stage("kernel", texts=texts, files=(dts,)).make(work)
