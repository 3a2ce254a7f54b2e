# SPDX-License-Identifier: MIT
"""What BitBake built, put on a card by the project's own code, on Debian's base.

A whole image of the Yocto engine needs the sources of some hundred packages; kernel, modules, driver, device tree,
overlay, U-Boot and service need few. `find` takes them from BitBake's results: `OE_RESULTS` names its `tmp` folder,
else it is that of `./inv build --engine=yocto`. `make_card` makes a card whose slot has them in place of the Debian
engine's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from firmware import (
    base,
    board,
    card,
    image,
    layout,
    lock,
    payload,
    provenance,
    recipe,
    release,
    render,
    rootfs,
    signing,
    tool,
    tree,
)
from firmware.board import Board
from firmware.errors import UserError
from firmware.known_hosts import KnownHosts
from firmware.payload import Parts

RESULTS = "OE_RESULTS"
U_BOOT = "u-boot-with-spl.sfp"
# Packages by their names' beginnings; each must be there. The kernel's modules are a package each.
PACKAGES = (
    "kernel-module-",
    "kernel-6",
    "captured_",
    "capture-ring_",
    "fpga-overlay_",
    "field-update_",
    "u-boot-capture_",
)
SERVICE = ("usr/bin", "usr/lib/captured", "usr/lib/field-update", "usr/sbin", "usr/lib/sysctl.d", "usr/lib/udev")


@dataclass(frozen=True)
class Pieces:
    """BitBake's results for a board: its `images` folder, and all packages unpacked below `root`."""

    board: Board
    images: Path
    root: Path

    @property
    def modules(self) -> Path:
        """The kernel's modules, in a folder that is named after its release."""
        (found,) = (self.root / "usr/lib/modules").glob("*")
        return found


def results(name: str = board.DEFAULT_BOARD) -> Path:
    """BitBake's `tmp` folder with what it built for the board. Raises UserError: nothing there."""
    given = os.environ.get(RESULTS)
    folder = Path(given) if given else release.folder(board.load(name)) / "build" / "tmp"
    if not (folder / "deploy" / "images" / name / U_BOOT).exists():
        raise UserError(
            f"BitBake built no {U_BOOT} for {name} in {folder} (valid: {RESULTS} names BitBake's tmp folder)"
        )
    return folder


def find(folder: Path, scratch: Path, name: str = board.DEFAULT_BOARD) -> Pieces:
    """The pieces in BitBake's `tmp` folder, unpacked in `scratch`. Raises UserError: one of PACKAGES is missing."""
    packages = [path for ending in ("deb", "ipk") for path in (folder / "deploy").rglob(f"*.{ending}")]
    root = scratch / "root"
    root.mkdir()
    for wanted in PACKAGES:
        found = [path for path in packages if path.name.startswith(wanted)]
        if not found:
            raise UserError(f"BitBake wrote no package {wanted}* in {folder}/deploy (valid: build its recipe first)")
        for path in found:
            tool.capture(["dpkg-deb", "-x", path, root])
    if not (root / "usr/lib/modules").is_dir():  # where / and /usr are not merged
        shutil.move(root / "lib/modules", root / "usr/lib/modules")
    return Pieces(board.load(name), folder / "deploy" / "images" / name, root)


def parts(pieces: Pieces, scratch: Path) -> Parts:
    """The pieces in the folders of the Debian engine's stages."""
    kernel, driver, overlay = (scratch / name for name in ("kernel", "driver", "overlay"))
    for folder in (kernel / "modules/lib/modules", driver, overlay):
        folder.mkdir(parents=True)
    shutil.copyfile(pieces.images / "zImage", kernel / "zImage")
    shutil.copyfile(pieces.images / f"{pieces.board.device_tree}.dtb", kernel / "board.dtb")
    (kernel / "release").write_text(pieces.modules.name + "\n")
    shutil.copytree(pieces.modules, kernel / "modules/lib/modules" / pieces.modules.name)
    (module,) = pieces.modules.rglob("capture-ring.ko")
    shutil.copyfile(module, driver / "capture-ring.ko")
    for name in ("overlay.dtbo", "fabric.rbf"):
        shutil.copyfile(pieces.root / "boot" / name, overlay / name)
    loader = pieces.root / "usr/lib/cyclone-capture/boot-loader"
    return Parts(kernel, driver, overlay, signing.chosen().authority, loader)


def slot(pieces: Pieces, found: Parts, scratch: Path) -> tree.Tree:
    """The slot: Debian's base, our recipes, and BitBake's packages over both."""
    recipes = recipe.load_all()
    made = tree.load(base.build(recipes) / "tree.json")
    (scratch / "modules").mkdir()
    payload.install(made, pieces.board, recipes, found, "0+bitbake", scratch / "modules")
    for folder in SERVICE:
        for path in sorted((pieces.root / folder).rglob("*")):
            if path.is_file():
                name = "/" + path.relative_to(pieces.root).as_posix()
                made.file(name, path, path.stat().st_mode & 0o777)
    made.file(
        "/usr/share/cyclone-capture/release.json",
        payload.release_json(pieces.board, "0+bitbake", "yocto", found.release),
    )
    made.file(provenance.BOARD_FILE, provenance.board_text(pieces.board))
    made.file(provenance.LOCK_FILE, provenance.yocto_lock(lock.layers()))
    return made


def make_card(pieces: Pieces, folder: Path, known: KnownHosts) -> Path:
    """`card.img` in `folder`, examined as every image is. Raises ToolError: it would not boot."""
    epoch = int((base.build(recipe.load_all()) / "epoch").read_text())
    with tempfile.TemporaryDirectory(prefix="pieces-", dir=folder) as name:
        scratch = Path(name)
        for sub in ("parts", "slot", "ext4", "genimage"):
            (scratch / sub).mkdir()
        made = slot(pieces, parts(pieces, scratch / "parts"), scratch / "slot")
        rootfs.write(made, scratch / "rootfs.ext4", "bitbake", scratch / "ext4")
        image.make_data(scratch / "data.ext4", "bitbake", epoch)
        files = {
            "u-boot-with-spl.sfp": (pieces.images / U_BOOT).resolve(),
            "rootfs.ext4": scratch / "rootfs.ext4",
            "data.ext4": scratch / "data.ext4",
        }
        configuration = render.text(image.TEMPLATE, pieces.board, disk_signature=image.disk_signature("bitbake"))
        image.run_genimage(scratch, configuration, files, scratch / "genimage")
        whole = scratch / f"{pieces.board.name}.img"
        assert whole.stat().st_size == layout.IMAGE_BYTES
        config = pieces.images / release.U_BOOT_CONFIG
        image.verify(whole, config.read_text() if config.is_file() else "")
        path = folder / "card.img"
        card.create(whole, path, card.Origin(pieces.board.name, "0+bitbake", "0" * 64), known=known)
    return path
