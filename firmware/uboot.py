# SPDX-License-Identifier: MIT
"""U-Boot: Debian 12's source, the board's defconfig, the fragments that both engines share, and our environment.

Debian 12's release, 2023.01, is one whose SPL finds U-Boot in the partition of type 0xA2; later ones lost that for
these boards. It is asserted on the finished `.config`, as is every line of the fragments. The environment that is
compiled in is `templates/boot/environment.txt.j2`; it holds the whole boot logic, so no script on the card can be lost
or half-written. The patches that are carried lie in `files/2023.01` of the U-Boot recipe.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from firmware import boot_loader, cross, kconfig, layout, paths, render, sources, tool
from firmware.board import Board
from firmware.errors import UserError
from firmware.stage import Stage

PACKAGE, SUITE = "u-boot", "bookworm"
FILES = paths.ROOT / "layers/meta-cyclone-capture/recipes-bsp/u-boot/files"
PATCHES = FILES / "2023.01"  # carried for this release; those for Yocto's release lie beside the fragments
STATIC = FILES / "capture.cfg"
DEVICE_TREE = FILES / "capture-u-boot.dtsi"
ENVIRONMENT = "environment.txt"
IMAGE = "u-boot-with-spl.sfp"
UIMAGE_MAGIC = bytes.fromhex("27051956")  # legacy image header (include/image.h, IH_MAGIC)
SPL_MAGIC = b"AS01"  # validation word 0x31305341, at 0x40 of each copy (tools/socfpgaimage.c)
SECTOR_OPTION = "CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR"  # where in the partition SPL takes U-Boot from
SPL_LIMIT = 60 << 10  # the boot ROM takes 60 KiB: the rest of the 64 KiB on-chip memory is its own


def source() -> sources.Source:
    """The Debian package that U-Boot comes from (for the manifest, too)."""
    return sources.fetch(PACKAGE, SUITE)


def patched(package: sources.Source) -> Path:
    """The source tree of `package` with the patches that we carry. Raises ToolError: one does not apply."""
    patches = tuple(sorted(PATCHES.glob("*.patch")))

    def work(folder: Path) -> None:
        shutil.copytree(package.tree, folder / "tree", symlinks=True)
        for path in patches:
            command = [tool.need("patch", "patch"), "-d", str(folder / "tree"), "-p1", "--fuzz=0", "-i", str(path)]
            tool.run(command, log=folder / "patch.log")

    return Stage("u-boot-source", texts={"package": package.identity}, files=patches).make(work) / "tree"


def fragments(board: Board) -> dict[str, str]:
    """Fragments, texts by name, in order."""
    return {
        STATIC.name: STATIC.read_text(encoding="utf-8"),
        "templates/boot/u-boot.cfg.j2": render.text("boot/u-boot.cfg.j2", board),
    }


def variables(text: str) -> dict[str, str]:
    """Variables of an environment text as U-Boot compiles it in: continued lines joined, comments dropped.

    Raises UserError: a line without "=", a name twice, quotes that do not match.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined: list[str] = []
    open_line = False
    for line in lines:
        piece = line.lstrip() if open_line else line
        open_line = piece.endswith("\\")
        piece = piece.removesuffix("\\")
        if joined and len(joined[-1]) and joined[-1].endswith("\0"):
            joined[-1] = joined[-1].removesuffix("\0") + piece
        else:
            joined.append(piece)
        if open_line:
            joined[-1] += "\0"
    found: dict[str, str] = {}
    for line in joined:
        name, equals, value = line.rstrip("\0").partition("=")
        if not equals or not name or name.strip() != name:
            raise UserError(f"environment: {line!r} (valid: NAME=VALUE)")
        if name in found:
            raise UserError(f"environment: {name} is set twice (valid: once)")
        if value.count('"') % 2:
            raise UserError(f"environment: {name}: quotes do not match (valid: an even number)")
        found[name] = value
    return found


def check_sizes(spl_bytes: int, image_bytes: int) -> None:
    """Raise UserError when SPL does not fit the boot ROM's limit or the whole image not its partition; bytes."""
    if spl_bytes > SPL_LIMIT:
        raise UserError(f"SPL has {spl_bytes} bytes (valid: at most {SPL_LIMIT}): switch off an SPL option")
    if image_bytes > layout.U_BOOT_OFFSETS[1]:
        raise UserError(
            f"{IMAGE} has {image_bytes} bytes (valid: at most {layout.U_BOOT_OFFSETS[1]}, the second place)"
        )


def check_image(content: bytes) -> None:
    """Raise UserError unless SPL stands four times and U-Boot behind them, where the boot ROM and SPL look."""
    for copy in range(layout.SPL_COPIES):
        place = copy * layout.SPL_BYTES + 0x40
        if content[place : place + 4] != SPL_MAGIC:
            raise UserError(f"{IMAGE}: no SPL header at {place:#x} (valid: four, {layout.SPL_BYTES} bytes apart)")
    if content[layout.U_BOOT_OFFSET : layout.U_BOOT_OFFSET + 4] != UIMAGE_MAGIC:
        raise UserError(f"{IMAGE}: no U-Boot at {layout.U_BOOT_OFFSET:#x} (valid: a legacy image there)")


def build(board: Board) -> Path:
    """U-Boot for `board`: `u-boot-with-spl.sfp`, `config`, `release`, `environment.txt`, `boot-loader/`.

    Raises UserError (defconfig, a fragment's line without effect, too big) or ToolError (a compiler, no network).
    """
    parts, environment = fragments(board), render.text("boot/environment.txt.j2", board)
    variables(environment)
    package = source()
    tree = patched(package)
    if not (tree / "configs" / board.u_boot_defconfig).is_file():
        known = sorted(path.name for path in (tree / "configs").glob("socfpga_*_defconfig"))
        raise UserError(
            f"board {board.name}: u_boot_defconfig: {board.u_boot_defconfig!r} is not in U-Boot's source "
            f"(valid: {', '.join(known)})"
        )

    def work(folder: Path) -> None:
        output, log = folder / "build", folder / "build.log"
        (output / "arch/arm/dts").mkdir(parents=True)
        shutil.copyfile(DEVICE_TREE, output / "arch/arm/dts" / DEVICE_TREE.name)
        (output / ENVIRONMENT).write_text(environment, encoding="utf-8")
        fixed = {"SOURCE_DATE_EPOCH": str(package.epoch)}
        cross.make("u-boot", tree, output, [board.u_boot_defconfig], fixed, log)
        config = output / ".config"
        config.write_text(kconfig.merge(config.read_text(), parts.values()))
        cross.make("u-boot", tree, output, ["olddefconfig"], fixed, log)
        kconfig.require("U-Boot", config.read_text(), parts)
        cross.make("u-boot", tree, output, [IMAGE], fixed, log)
        check_sizes((output / "spl/u-boot-spl.bin").stat().st_size, (output / IMAGE).stat().st_size)
        check_image((output / IMAGE).read_bytes())
        shutil.copyfile(output / IMAGE, folder / IMAGE)
        shutil.copyfile(config, folder / "config")
        shutil.copyfile(output / "include/config/uboot.release", folder / "release")
        shutil.copyfile(output / ENVIRONMENT, folder / ENVIRONMENT)
        others = []
        for offset in layout.U_BOOT_OFFSETS[1:]:  # SPL once more for each other place
            elsewhere = {"place": f"{SECTOR_OPTION}={offset // layout.SECTOR_BYTES:#x}\n"}
            config.write_text(kconfig.merge(config.read_text(), elsewhere.values()))
            cross.make("u-boot", tree, output, ["olddefconfig"], fixed, log)
            kconfig.require("U-Boot", config.read_text(), elsewhere)
            cross.make("u-boot", tree, output, [IMAGE], fixed, log)
            others.append((output / IMAGE).read_bytes())
        boot_loader.make(folder, (folder / IMAGE).read_bytes(), others, variables(environment))
        shutil.rmtree(output)
        log.unlink()

    code = "".join(
        Path(module).read_text(encoding="utf-8") for module in (__file__, cross.__file__, boot_loader.__file__)
    )
    texts = {"package": package.identity, "compiler": cross.compiler(), "defconfig": board.u_boot_defconfig}
    texts |= {"code": code, "environment": environment, "dtsi": DEVICE_TREE.read_text(encoding="utf-8"), **parts}
    texts["layout"] = boot_loader.layout_text()
    texts["tree"] = tree.parent.name  # the stage's key: package and patches
    return Stage("u-boot", texts=texts).make(work)
