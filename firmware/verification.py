# SPDX-License-Identifier: MIT
"""`./inv verify-image`: is a finished image one that boots, upgrades and keeps its data? No root rights, no mount.

`examine` gives one finding a subject; what is wrong names the place and what would be valid:

    structure         firmware/proof.py: MBR, four SPL copies, U-Boot, environment copies, file systems' labels
    boot loader       SPL and U-Boot are those that slot A carries for the first place (firmware/boot_loader.py)
    boot script       compiled into U-Boot: slots, their partitions, the data partition (firmware/uboot_image.py)
    slot's files      each file that the script loads is in slot A, and is what its name says
    slot's settings   fw_env.config, RAUC's system.conf and fstab name the layout's places; the release is the board's;
                      resolved board file and lock are there (firmware/provenance.py)
    environment       read and changed by fw_printenv and fw_setenv as U-Boot saves it (firmware/saved_environment.py)
    hash tree         behind slot A's file system, and agrees with each of its blocks (firmware/verity.py)
    private keys      there are none in slot A and data (firmware/private_keys.py)
    U-Boot's config   every line that SPL, layout and boot script rely on took effect, by the names of its release
                      (firmware/uboot_config.py); needs the build's `.config`
    file systems      e2fsck(8) finds nothing to repair in slot A and data

The build runs it on each new image, flash before it writes.
"""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware import board as boards
from firmware import (
    boot_loader,
    layout,
    manifest,
    paths,
    payload,
    private_keys,
    proof,
    provenance,
    release,
    saved_environment,
    uboot_config,
    uboot_image,
    verity,
)
from firmware.board import Board
from firmware.choice import Choice
from firmware.errors import UserError
from firmware.file_system import FileSystem
from firmware.manifest import Manifest
from firmware.provenance import BOARD_FILE, LOCK_FILE

RELEASE = "/usr/share/cyclone-capture/release.json"
U_BOOT = layout.BOOT.offset + layout.U_BOOT_OFFSET
FW_ENV, RAUC, FSTAB = "/etc/fw_env.config", "/etc/rauc/system.conf", "/etc/fstab"
# file -> offset, magic, what it is. zImage: Linux, arch/arm/boot/compressed/head.S; trees: Devicetree Specification 5.2
MAGICS = {
    "/boot/zImage": (0x24, b"\x18\x28\x6f\x01", "an ARM zImage"),
    "/boot/board.dtb": (0, b"\xd0\x0d\xfe\xed", "a device tree"),
    "/boot/overlay.dtbo": (0, b"\xd0\x0d\xfe\xed", "a device tree"),
}
SETTINGS = (FW_ENV, RAUC, FSTAB, RELEASE, BOARD_FILE, LOCK_FILE)


@dataclass(frozen=True)
class Finding:
    """One subject: what is wrong, or what was seen; `checked` is false when it could not be looked at."""

    name: str
    wrong: tuple[str, ...]
    seen: str = ""
    checked: bool = True

    def __str__(self) -> str:
        """Lines for a person."""
        if self.wrong:
            return "\n".join(f"wrong  {self.name:16} {line}" for line in self.wrong)
        return f"{'ok' if self.checked else 'not checked':6} {self.name:16} {self.seen}"


def examine(image: Path, config: str = "") -> list[Finding]:
    """All findings for `image`; `config` is U-Boot's `.config`, if the caller has it. Raises UserError: no file."""
    if not image.is_file():
        raise UserError(f"no image {image} (valid: one made by ./inv build)")
    wrong = proof.check(image)
    seen = f"{len(layout.PARTITIONS)} partitions, {layout.SPL_COPIES} SPL copies, U-Boot, environment copies"
    found = [Finding("structure", tuple(wrong), seen)]
    if image.stat().st_size != layout.IMAGE_BYTES:
        return found  # nothing is where it would be looked for
    with image.open("rb") as stream:
        read = proof.reader(stream)
        script = uboot_image.environment(read(U_BOOT, layout.BOOT.end - U_BOOT))
        slot = FileSystem(image, layout.SLOT_A.offset)
        carried = slot.extract([f"{payload.LOADER}/{name}" for name in boot_loader.CARRIED])
        found.append(Finding("boot loader", tuple(boot_loader.faults(read, carried, payload.LOADER)), "as in slot A"))
    found.append(Finding("boot script", tuple(uboot_image.check_script(script)), f"{len(script)} variables"))
    loaded = uboot_image.loaded(script)
    files = slot.extract([*loaded, *SETTINGS, verity.MARK])
    found.append(Finding("slot's files", tuple(check_files(loaded, files)), ", ".join(loaded)))
    found.append(Finding("slot's settings", tuple(check_settings(files)), ", ".join(SETTINGS)))
    if script and FW_ENV in files:
        wrong = saved_environment.faults(script, files[FW_ENV].decode("utf-8", "replace"))
        found.append(Finding("environment", tuple(wrong), "fw_printenv and fw_setenv agree with U-Boot"))
    found.append(_hash_tree(image, files))
    found.append(_private_keys(image))
    found.append(_configuration(files, config))
    places = (("slot A", slot), ("data", FileSystem(image, layout.DATA.offset)))
    faults = [
        f"{name}: e2fsck: {said} (valid: nothing to repair)" for name, place in places if (said := place.faults())
    ]
    found.append(Finding("file systems", tuple(faults), "e2fsck finds nothing in slot A and data"))
    return found


def require(image: Path, config: str = "") -> None:
    """Raise UserError that names everything that is wrong with `image`."""
    if wrong := [str(finding) for finding in examine(image, config) if finding.wrong]:
        raise UserError("\n".join([f"{image} is no sound image (valid: run ./inv build again)", *wrong]))


def report(image: Path, config: str = "") -> None:
    """Print all findings. Raises UserError when something is wrong."""
    found = examine(image, config)
    print(image)
    for finding in found:
        print(f"  {finding}".replace("\n", "\n  "))
    if count := sum(len(finding.wrong) for finding in found):
        raise UserError(f"{image}: not sound, {count} wrong (valid: an image made by ./inv build)")


def run(choice: Choice, image: str | None = None) -> None:
    """Print what is to be said of the file `image`, or of the built one. Raises UserError when it is not sound."""
    if image:
        report(Path(image))
        return
    built = manifest.load_built(choice.board.name, choice.engine)
    report(built.path("image"), built_config(built))


def built_config(built: Manifest) -> str:
    """U-Boot's `.config` of a build; empty when it is not at hand any more."""
    if built.engine == "yocto":
        path = release.results(built.board) / built.inputs.get("results", "") / release.U_BOOT_CONFIG
    else:
        path = paths.cache() / "stages" / "u-boot" / built.inputs.get("u-boot", "") / "config"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def check_files(loaded: Sequence[str], files: dict[str, bytes]) -> list[str]:
    """What is wrong with the files that the boot script loads."""
    found = [
        f"{path} is not in slot A (valid: each file that the boot script loads)" for path in loaded if path not in files
    ]
    for path in (name for name in loaded if name in files and name in MAGICS):
        at, magic, kind = MAGICS[path]
        content = files[path]
        if content[at : at + len(magic)] != magic:
            found.append(f"{path} is no {kind.partition(' ')[2]} (valid: {magic.hex()} at byte {at:#x})")
        elif at == 0 and (size := int.from_bytes(content[4:8], "big")) != len(content):
            found.append(f"{path} has {len(content)} bytes (valid: {size}, as its header says)")
    return found


def check_settings(files: dict[str, bytes]) -> list[str]:
    """What in the slot's settings does not agree with the layout."""
    found = [f"{path} is not in slot A (valid: as the engines put it there)" for path in SETTINGS if path not in files]
    texts = {path: files[path].decode("utf-8", "replace") for path in SETTINGS if path in files}
    if FW_ENV in texts:
        found += check_fw_env(texts[FW_ENV])
    if RAUC in texts:
        found += check_rauc(texts[RAUC])
    if FSTAB in texts and not re.search(rf"^{layout.DATA.device}\s+/data\s+ext4\s", texts[FSTAB], re.MULTILINE):
        found.append(f"{FSTAB} does not mount {layout.DATA.device} on /data (valid: the data partition)")
    if RELEASE in texts and (board := _board(texts[RELEASE])) is None:
        found.append(f"{RELEASE} names no board (valid: {', '.join(boards.names())})")
    elif {RELEASE, BOARD_FILE, LOCK_FILE} <= {*texts} and board is not None:
        engine = str(json.loads(texts[RELEASE]).get("engine"))
        found += provenance.faults(board.name, engine, texts[BOARD_FILE], texts[LOCK_FILE])
    return found


def check_fw_env(text: str) -> list[str]:
    """What in `fw_env.config`, by which Linux finds U-Boot's environment, is not the layout's."""
    lines = [line.split()[:3] for line in text.splitlines() if line.strip() and not line.startswith("#")]
    wanted = [(layout.CARD_DEVICE, offset, layout.ENVIRONMENT_BYTES) for offset in layout.ENVIRONMENT_OFFSETS]
    try:
        seen = [(device, int(offset, 0), int(size, 0)) for device, offset, size in lines]
    except ValueError:
        return [f"{FW_ENV}: {lines} (valid: lines of device, offset, size)"]
    shown = [f"{device} {offset:#x} {size:#x}" for device, offset, size in wanted]
    return [] if seen == wanted else [f"{FW_ENV} is {lines} (valid: {', '.join(shown)})"]


def check_rauc(text: str) -> list[str]:
    """What in RAUC's `system.conf` is not the layout's."""
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read_string(text)
    except configparser.Error as error:
        return [f"{RAUC}: {str(error).splitlines()[0]} (valid: RAUC's system.conf)"]
    slots = {
        settings.get(name, "bootname", fallback=""): settings.get(name, "device", fallback="")
        for name in settings.sections()
        if name.startswith("slot.")
    }
    wanted = {name: partition.device for name, partition in layout.SLOTS.items()}
    return [] if slots == wanted else [f"{RAUC}: slots {slots} (valid: {wanted})"]


def _hash_tree(image: Path, files: dict[str, bytes]) -> Finding:
    if verity.MARK in files:
        fault = verity.faults(image, layout.SLOT_A.offset)
    else:
        fault = f"{verity.MARK} is not in slot A (valid: as the engines put it there)"
    return Finding("hash tree", (fault,) if fault else (), "agrees with each block of slot A")


def _private_keys(image: Path) -> Finding:
    wrong = [
        f"{name}: {path} holds a private key (valid: none; a board makes its own, at its first boot)"
        for name, place in (("slot A", layout.SLOT_A), ("data", layout.DATA))
        for path in private_keys.faults(image, place.offset, place.end)
    ]
    return Finding("private keys", tuple(wrong), "none in slot A and data")


def _configuration(files: dict[str, bytes], config: str) -> Finding:
    board = _board(files.get(RELEASE, b"").decode("utf-8", "replace"))
    if not config or board is None:
        missing = "the build's .config is not at hand" if not config else "the slot names no board"
        return Finding("U-Boot's config", (), missing, checked=False)
    lost = uboot_config.lost(board, config)
    return Finding("U-Boot's config", tuple(lost), f"agrees with {board.name}'s fragments and the layout")


def _board(text: str) -> Board | None:
    try:
        return boards.load(str(json.loads(text)["board"]))
    except (ValueError, KeyError, TypeError, UserError):
        return None
