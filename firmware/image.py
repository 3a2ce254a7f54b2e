# SPDX-License-Identifier: MIT
"""The card's image: `<board>.img`, its `.bmap`, and the proof that boot ROM and U-Boot find what they look for.

`genimage` puts the parts where `templates/debian/genimage.cfg.j2`, rendered from the layout, says;
`firmware/verification.py` examines the result. Slot B is empty: RAUC fills it with the first upgrade. The data file
system is empty and small; it grows on the board.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from firmware import ext4, layout, paths, render, tool, verification
from firmware.board import Board
from firmware.errors import ToolError
from firmware.stage import Stage

TEMPLATE = "debian/genimage.cfg.j2"
DATA_INODES = 16384
CODE = ("ext4", "file_system", "image", "proof", "tree", "uboot_config", "uboot_image", "verification", "verity")


def disk_signature(seed: str) -> int:
    """Number in the MBR that tells one disk from another; not 0."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") | 1


def make_data(image: Path, seed: str, epoch: int) -> None:
    """The empty data file system, labelled `data`."""
    argv = ext4.format_command(image, layout.DATA.size, "data", seed, ext4.DATA_FEATURES, DATA_INODES)
    tool.run(argv, environment=ext4.clock(epoch))
    ext4.check(image)


def run_genimage(folder: Path, configuration: str, files: dict[str, Path], scratch: Path) -> None:
    """Run `genimage` on `files` (name in the configuration -> file) with the output in `folder`."""
    for name in ("input", "root", "tmp"):
        (scratch / name).mkdir()
    for name, path in files.items():
        (scratch / "input" / name).symlink_to(path)
    config = scratch / "genimage.cfg"
    config.write_text(configuration)
    argv: list[str | Path] = [tool.need("genimage", "genimage"), "--config", config, "--outputpath", folder]
    argv += ["--inputpath", scratch / "input", "--rootpath", scratch / "root", "--tmppath", scratch / "tmp"]
    tool.run(argv, log=folder / "log")


def verify(image: Path, config: str, maker: str = "genimage") -> None:
    """Raise ToolError that says all that is wrong with the image that `maker` has finished; `config` is U-Boot's."""
    if wrong := [line for finding in verification.examine(image, config) for line in finding.wrong]:
        raise ToolError([maker], 0, "\n".join(wrong), "the finished image would not boot")


def build(board: Board, uboot: Path, rootfs: Path, epoch: int) -> Path:
    """Result folder: `<board>.img`, `<board>.img.bmap`, `sha256`. Raises ToolError when the image is not sound."""
    stage = Stage(
        "image",
        texts={"board": board.name, "uboot": uboot.name, "rootfs": rootfs.name, "layout": repr(layout.PARTITIONS)},
        files=(
            paths.ROOT / "templates" / TEMPLATE,
            *(paths.ROOT / "firmware" / f"{name}.py" for name in CODE),
        ),
    )

    def work(folder: Path) -> None:
        image = folder / f"{board.name}.img"
        seed = f"{board.name} {stage.key}"
        with tempfile.TemporaryDirectory(prefix="image-", dir=folder.parent) as name:
            scratch = Path(name)
            make_data(scratch / "data.ext4", seed, epoch)
            files = {
                "u-boot-with-spl.sfp": uboot / "u-boot-with-spl.sfp",
                "rootfs.ext4": rootfs / "rootfs.ext4",
                "data.ext4": scratch / "data.ext4",
            }
            run_genimage(folder, render.text(TEMPLATE, board, disk_signature=disk_signature(seed)), files, scratch)
        config = uboot / "config"
        verify(image, config.read_text(encoding="utf-8") if config.is_file() else "")
        tool.capture([tool.need("bmaptool", "bmap-tools"), "create", "-o", folder / f"{image.name}.bmap", image])
        with image.open("rb") as stream:
            (folder / "sha256").write_text(hashlib.file_digest(stream, "sha256").hexdigest() + "\n")
        image.chmod(0o444)

    return stage.make(work)
