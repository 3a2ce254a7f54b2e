# SPDX-License-Identifier: MIT
"""Fit: a slot is one unit, and its parts must belong together before anybody is offered it.

Checked, on the slot's file system, each with what would be valid:

    kernel       modules' folder, release file and the driver's vermagic are the kernel's own
    overlay      its labels and paths are in the device tree; its windows lie in the lightweight bridge, share no
                 address with each other, and none of the tree's nodes has them
    fabric       the overlay's fabric id is the release's, and the stand-in bitstream's; a bitstream of one's own does
                 not say its id: there the driver compares it with the fabric's register when it is loaded
    board        release, RAUC's compatible, the bundle and the device tree are of one board
    programs     the capture service, and what judges the slot, commits it or goes back, are there: a slot without the
                 latter would never be left again

The build runs it on each new slot's bundle, `deploy` on the bundle that it is about to offer.
"""

from __future__ import annotations

import itertools
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from firmware import flat_tree
from firmware.board import BRIDGE_BASE, BRIDGE_BYTES
from firmware.errors import UserError
from firmware.file_system import FileSystem
from firmware.flat_tree import Tree
from firmware.payload import DRIVER_PLACE

RELEASE = "/usr/share/cyclone-capture/release.json"
RAUC = "/etc/rauc/system.conf"
MODULES = "/usr/lib/modules"
KERNEL, TREE, OVERLAY, FABRIC = "/boot/zImage", "/boot/board.dtb", "/boot/overlay.dtbo", "/boot/fabric.rbf"
UNITS = "/usr/lib/systemd/system"
PROGRAMS = (
    "/usr/bin/captured",
    f"{UNITS}/captured.service",
    "/usr/sbin/field-update",
    f"{UNITS}/field-update-boot.service",
)
NEEDED = (KERNEL, TREE, OVERLAY, FABRIC, RELEASE, RAUC, *PROGRAMS)
FABRIC_ID = "cyclone-capture,fabric-id"
SOC = "altr,socfpga-cyclone5"
GZIP = b"\x1f\x8b\x08"
_STAND_IN_ID = re.compile(rb"fabric id (0x[0-9a-f]{8})")


def compatible_name(board: str) -> str:
    """RAUC's name for "boards that may take this": also in the slot's `system.conf`."""
    return f"cyclone-capture-{board}"


@dataclass(frozen=True)
class Slot:
    """The parts of a slot: contents by path, and the kernel releases that have a folder of modules."""

    files: dict[str, bytes]
    releases: tuple[str, ...]

    @classmethod
    def read(cls, rootfs: Path, offset: int = 0) -> Slot:
        """The parts in the file system that begins at `offset` of `rootfs`."""
        place = FileSystem(rootfs, offset)
        releases = tuple(place.names(MODULES))
        drivers = [f"{MODULES}/{name}/{DRIVER_PLACE}" for name in releases]
        return cls(place.extract([*NEEDED, *drivers]), releases)


def check(slot: Slot, compatible: str = "") -> list[str]:
    """What does not fit; `compatible` is what the bundle says that it is for."""
    missing = [path for path in NEEDED if path not in slot.files]
    if missing:
        return [f"{path} is not in the slot (valid: one made by ./inv build)" for path in missing]
    try:
        release = json.loads(slot.files[RELEASE])
        board, kernel, fabric_id = str(release["board"]), str(release["kernel"]), int(release["fabric_id"])
        tree, overlay = flat_tree.parse(slot.files[TREE]), flat_tree.parse(slot.files[OVERLAY])
    except (ValueError, KeyError, TypeError) as error:
        return [f"{RELEASE}: {error!r} (valid: board, kernel and fabric_id)"]
    except UserError as error:
        return [f"{TREE} or {OVERLAY}: {error}"]
    found = check_kernel(slot, kernel)
    found += check_overlay(tree, overlay)
    found += check_fabric(overlay, slot.files[FABRIC], fabric_id)
    return found + check_board(board, tree, slot.files[RAUC].decode("utf-8", "replace"), compatible)


def require(rootfs: Path, compatible: str) -> None:
    """Raise UserError that names all that does not fit in the slot `rootfs` of a bundle for `compatible`."""
    if found := check(Slot.read(rootfs), compatible):
        raise UserError("\n    ".join([f"{rootfs.name}: its parts do not fit each other:", *found]))


def check_kernel(slot: Slot, release: str) -> list[str]:
    """Kernel, folder of modules, and the driver's vermagic against the kernel's."""
    kernel = unpacked(slot.files[KERNEL])
    found = []
    if f"Linux version {release} ".encode() not in kernel:
        said = re.search(rb"Linux version (\S+)", kernel)
        found.append(f"{KERNEL} is {said[1].decode() if said else 'no kernel'} (valid: the release file's, {release})")
    if slot.releases != (release,):
        found.append(f"{MODULES} holds {', '.join(slot.releases) or 'nothing'} (valid: {release} alone)")
    module = slot.files.get(f"{MODULES}/{release}/{DRIVER_PLACE}")
    if module is None:
        return [*found, f"{MODULES}/{release}/{DRIVER_PLACE} is not in the slot (valid: the driver for this kernel)"]
    magic = re.search(rb"\0vermagic=([^\0]*)\0", b"\0" + module)
    if magic is None or magic[1] + b"\0" not in kernel:
        said_magic = magic[1].decode("ascii", "replace").strip() if magic else "none"
        found.append(
            f"{DRIVER_PLACE}: its vermagic is {said_magic!r}, not the kernel's (valid: built against {release})"
        )
    return found


def unpacked(image: bytes) -> bytes:
    """The kernel in a zImage that is compressed with gzip; empty when there is none."""
    at = -1
    while (at := image.find(GZIP, at + 1)) >= 0:
        try:
            return zlib.decompressobj(wbits=31).decompress(image[at:])
        except zlib.error:
            continue
    return b""


def check_overlay(tree: Tree, overlay: Tree) -> list[str]:
    """The overlay's labels and paths are in the tree, its windows are free and in the bridge."""
    labels = tree.get("/__symbols__", {})
    found = [
        f"overlay: label {label!r} is not in the device tree (valid: one of its __symbols__)"
        for label in overlay.get("/__fixups__", {})
        if label not in labels
    ]
    for properties in overlay.values():
        for path in flat_tree.texts(properties.get("target-path", b"")):
            if path not in tree:
                found.append(f"overlay: path {path!r} is not in the device tree (valid: a node of it, such as /soc)")
    return found + check_windows(tree, overlay)


def check_windows(tree: Tree, overlay: Tree) -> list[str]:
    """The overlay's register windows against the bridge, each other and the tree's nodes."""
    used = sorted((start, size, path) for path, properties in overlay.items() for start, size in windows(properties))
    found, bridge_end = [], BRIDGE_BASE + BRIDGE_BYTES
    for start, size, path in used:
        if not BRIDGE_BASE <= start <= start + size <= bridge_end:
            valid = f"{BRIDGE_BASE:#x} to {bridge_end:#x}, the lightweight bridge"
            found.append(f"overlay: {path}: window {start:#x} of {size} bytes (valid: {valid})")
    for (start, size, path), (other, _, other_path) in itertools.pairwise(used):
        if start + size > other:
            both = f"{start:#x} of {path} and {other:#x} of {other_path}"
            found.append(f"overlay: windows {both} overlap (valid: no shared address)")
    soc = {path: windows(node) for path, node in tree.items() if path.count("/") == 2 and path.startswith("/soc/")}
    for path, theirs in soc.items():
        for at, length in theirs:
            found += [
                f"overlay: window {start:#x} of {name} is that of {path} (valid: a free one)"
                for start, size, name in used
                if start < at + length and at < start + size
            ]
    return found


def windows(properties: flat_tree.Properties) -> list[tuple[int, int]]:
    """Address and size of each window of a node below /soc, which has one cell for each."""
    numbers = flat_tree.cells(properties.get("reg", b""))
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def check_fabric(overlay: Tree, bitstream: bytes, fabric_id: int) -> list[str]:
    """The fabric's id in overlay, release and stand-in bitstream."""
    ids = [flat_tree.cells(properties[FABRIC_ID])[0] for properties in overlay.values() if FABRIC_ID in properties]
    found = []
    if ids != [fabric_id]:
        shown = ", ".join(f"{number:#010x}" for number in ids) or "none"
        found.append(f"overlay: fabric id {shown} (valid: the release file's, {fabric_id:#010x})")
    said = _STAND_IN_ID.search(bitstream[:200])
    if said and int(said[1], 0) != fabric_id:
        found.append(f"{FABRIC} is for fabric id {said[1].decode()} (valid: {fabric_id:#010x})")
    return found


def check_board(board: str, tree: Tree, rauc: str, compatible: str) -> list[str]:
    """Release, RAUC's system.conf, bundle and device tree are of one board."""
    wanted, found = compatible_name(board), []
    said = re.search(r"^compatible=(.*)$", rauc, re.MULTILINE)
    for name, value in ((RAUC, said[1].strip() if said else ""), ("the bundle", compatible or wanted)):
        if value != wanted:
            found.append(f"{name} is for {value or 'no board'} (valid: {wanted}, the release file's board)")
    if SOC not in (kinds := flat_tree.texts(tree.get("/", {}).get("compatible", b""))):
        found.append(f"{TREE} is for {', '.join(kinds) or 'nothing'} (valid: a {SOC})")
    return found
