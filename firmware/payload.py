# SPDX-License-Identifier: MIT
"""What a board's slot holds beside Debian's packages: kernel, driver, overlay, recipes, users, release file.

`install` changes a tree that holds the base; `Parts` are the results of the stages that it takes files from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware import accounts, bytecode, provenance, render, tool, units
from firmware.board import Board
from firmware.errors import UserError
from firmware.manifest import SourcePackage
from firmware.recipe import Recipe
from firmware.tree import Tree

# units of Debian's packages that start at boot, beside those that recipes enable
DEBIAN_UNITS = ("ssh.service", "systemd-networkd.service")
# what the board mounts over, or makes at run time
EMPTIED = ("/boot", "/dev", "/home", "/media", "/mnt", "/proc", "/root", "/run", "/srv", "/sys", "/tmp", "/var")  # noqa: S108
# made anew by the board, of no use on it, or telling of the machine that built it
FORGOTTEN = (
    "/etc/apt",
    "/etc/fstab",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/ssh/ssh_host_*",
    "/etc/udev/hwdb.d",
    "/usr/lib/systemd/system/multi-user.target.wants/dbus.service",  # its socket starts it
    "/usr/lib/udev/hwdb.bin",
    "/usr/lib/udev/hwdb.d",
)
LOADER = "/usr/lib/cyclone-capture/boot-loader"  # what `field-update boot-loader` writes
DRIVER_PLACE = "updates/capture-ring.ko"


@dataclass(frozen=True)
class Parts:
    """Result folders of other stages, and the certificate that bundles must chain to."""

    kernel: Path
    driver: Path
    overlay: Path
    keyring: Path
    boot_loader: Path | None = None  # of the board's U-Boot; a board that only tests something needs none
    sources: tuple[SourcePackage, ...] = ()  # that kernel and U-Boot were compiled from

    @property
    def release(self) -> str:
        """Kernel release, e.g. `6.12.107-capture`."""
        return (self.kernel / "release").read_text().strip()


def clean(tree: Tree) -> None:
    """Take out what belongs to no board: what packages left behind, host keys, the build machine's traces."""
    for folder in EMPTIED:
        tree.clear(folder)
    for pattern in FORGOTTEN:
        prefix = pattern.removesuffix("*")
        if pattern != prefix:
            parent = prefix.rsplit("/", 1)[0]
            for path in [p for p in tree.below(parent) if p.startswith(prefix)]:
                tree.remove(path)
        else:
            tree.remove(pattern)
    units.forget_enabled(tree)


def add_kernel(tree: Tree, parts: Parts, scratch: Path) -> None:
    """Kernel, device trees, fabric, modules with the driver among them, and the module indexes of `depmod`."""
    tree.file("/boot/zImage", parts.kernel / "zImage")
    tree.file("/boot/board.dtb", parts.kernel / "board.dtb")
    tree.file("/boot/overlay.dtbo", parts.overlay / "overlay.dtbo")
    tree.file("/boot/fabric.rbf", parts.overlay / "fabric.rbf")
    modules = scratch / "lib/modules" / parts.release
    shutil.copytree(
        parts.kernel / "modules/lib/modules" / parts.release,
        modules,
        symlinks=True,
        ignore=shutil.ignore_patterns("build", "source"),
    )
    (modules / DRIVER_PLACE).parent.mkdir(exist_ok=True)
    shutil.copyfile(parts.driver / "capture-ring.ko", modules / DRIVER_PLACE)
    tool.capture([tool.need("depmod", "kmod"), "-b", scratch, parts.release])
    tree.add_host(modules, f"/usr/lib/modules/{parts.release}")


def add_recipe(tree: Tree, board: Board, recipe: Recipe, recipes: list[Recipe]) -> None:
    """A recipe's files and renderings. Raises UserError: a file that the recipe names is missing."""
    for item in recipe.files:
        source = recipe.folder / item.source
        if not source.exists() and not source.is_symlink():
            raise UserError(f"recipe {recipe.name!r}: {item.source!r} is not in its folder {recipe.folder}")
        tree.add_host(source, item.to, int(item.mode, 8))
    for rendered in recipe.rendered:
        tree.file(rendered.to, render.text(rendered.template, board, recipes=recipes), int(rendered.mode, 8))


def python_files(tree: Tree, recipes: Iterable[Recipe]) -> list[str]:
    """Modules that the recipes install, sorted."""
    places = [item.to for recipe in recipes for item in recipe.files]
    places += [item.to for recipe in recipes for item in recipe.rendered]
    found = [path for place in places for path in (place, *tree.below(place)) if path.endswith(".py")]
    return sorted(path for path in set(found) if path in tree)


def release_json(board: Board, version: str, engine: str, kernel_release: str) -> str:
    """`/usr/share/cyclone-capture/release.json`: what the slot is."""
    facts = {
        "board": board.name,
        "version": version,
        "engine": engine,
        "kernel": kernel_release,
        "fabric_id": board.fabric.id,
    }
    return json.dumps(facts, indent=2) + "\n"


def add_provenance(tree: Tree, board: Board, packages: Iterable[Mapping[str, str]], parts: Parts) -> None:
    """What the slot says of its own making."""
    tree.file(provenance.BOARD_FILE, provenance.board_text(board))
    tree.file(provenance.LOCK_FILE, provenance.debian_lock(packages, parts.sources))


def install(tree: Tree, board: Board, recipes: list[Recipe], parts: Parts, version: str, scratch: Path) -> None:
    """Make the base in `tree` the slot of `board`."""
    clean(tree)
    add_kernel(tree, parts, scratch)
    tree.folder("/data")
    tree.link("/etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
    tree.file("/etc/machine-id", "", 0o444)
    tree.file("/etc/resolv.conf", "# the board asks no name server\n")
    tree.folder("/root", 0o700)
    tree.folder("/tmp", 0o1777)  # noqa: S108  # of the board
    tree.file("/etc/rauc/keyring.pem", parts.keyring)
    if parts.boot_loader:
        tree.add_host(parts.boot_loader, LOADER)
    for recipe in recipes:
        add_recipe(tree, board, recipe, recipes)
    bytecode.add(tree, python_files(tree, recipes), scratch / "python")
    accounts.install(tree, [user for recipe in recipes for user in recipe.users])
    for unit in wanted_units(recipes):
        units.enable(tree, unit)
    tree.file("/usr/share/cyclone-capture/release.json", release_json(board, version, "debian", parts.release))
    tree.file("/usr/lib/clock-epoch", "")  # systemd's clock starts at its time, never before: boards have no RTC


def wanted_units(recipes: Iterable[Recipe]) -> list[str]:
    """Units that start at boot, sorted."""
    return sorted({*DEBIAN_UNITS, *(unit for recipe in recipes for unit in recipe.enable)})
