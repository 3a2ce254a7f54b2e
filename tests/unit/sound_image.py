# SPDX-License-Identifier: MIT
"""A small sound image for tests: the layout's, with a U-Boot and slots that hold just what is verified."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from firmware import board as boards
from firmware import ext4, image, kconfig, layout, lock, openembedded, payload, provenance, render, uboot, verity
from firmware.board import Board
from firmware.tree import Tree
from tests.unit.test_proof import make_spl, make_table, make_uboot

EPOCH = 1_700_000_000
APPEND = openembedded.STATIC / "recipes-bsp/u-boot/u-boot_2026.01.bbappend"
Changes = dict[str, bytes | None]


def board() -> Board:
    """The board that it is for."""
    return boards.load("sockit")


def make_uboot_with_spl(changes: dict[str, str] | None = None) -> bytes:
    """Four SPL copies and a U-Boot with the rendered environment, some of its variables changed."""
    variables = uboot.variables(render.text("boot/environment.txt.j2", board())) | (changes or {})
    return make_spl() * 4 + make_uboot("".join(f"{name}={value}\0" for name, value in variables.items()) + "\0")


def tree_blob() -> bytes:
    """The header of a device tree, which is all of it."""
    return struct.pack(">II", 0xD00DFEED, 40).ljust(40, b"\0")


def slot_files() -> dict[str, bytes]:
    """What a slot must hold to be taken for sound."""
    texts = {
        "/etc/fw_env.config": render.text("update/fw_env.config.j2", board()),
        "/etc/rauc/system.conf": render.text("update/system.conf.j2", board()),
        "/etc/fstab": render.text("base/fstab.j2", board()),
        "/usr/share/cyclone-capture/release.json": '{"board": "sockit", "version": "1", "engine": "yocto"}',
        provenance.BOARD_FILE: provenance.board_text(board()),
        provenance.LOCK_FILE: provenance.yocto_lock(lock.layers()),
    }
    return {
        "/boot/zImage": bytes(0x24) + b"\x18\x28\x6f\x01",
        "/boot/board.dtb": tree_blob(),
        "/boot/overlay.dtbo": tree_blob(),
        "/boot/fabric.rbf": b"fabric",
        f"{payload.LOADER}/spl-0": make_spl(),
        f"{payload.LOADER}/u-boot.img": make_uboot_with_spl()[layout.U_BOOT_OFFSET :],
        verity.MARK: verity.MARK_TEXT.encode(),
        **{path: text.encode() for path, text in texts.items()},
    }


def make_slot(path: Path, scratch: Path, changes: Changes | None = None) -> Path:
    """A slot's file system with some files changed (None: left out)."""
    tree = Tree(EPOCH)
    for name, content in (slot_files() | (changes or {})).items():
        if content is not None:
            tree.file(name, content)
    ext4.make(tree, path, 4 << 20, "slot", "test", scratch)
    verity.add(path)
    return path


def make_image(folder: Path) -> Path:
    """The whole image, sparse."""
    image.make_data(folder / "data.ext4", "test", EPOCH)
    parts = {
        0: make_table(),
        layout.BOOT.offset: make_uboot_with_spl(),
        layout.SLOT_A.offset: make_slot(folder / "slot.ext4", folder).read_bytes(),
        layout.DATA.offset: (folder / "data.ext4").read_bytes(),
    }
    made = folder / "card.img"
    with made.open("wb") as stream:
        stream.truncate(layout.IMAGE_BYTES)
        for offset, content in parts.items():
            stream.seek(offset)
            stream.write(content)
    return made


def built_config() -> str:
    """A `.config` of Debian's U-Boot in which every line of the fragments took effect."""
    return "\n".join(["# U-Boot 2023.01 Configuration", *uboot.fragments(board()).values()])


def bitbake_config() -> str:
    """The same of the U-Boot that BitBake builds, which calls some symbols by other names."""
    skipped = re.search(r'^CONFIG_ASSERT_SKIP:socfpga = "([^"]*)"', APPEND.read_text(), re.MULTILINE)
    assert skipped is not None
    old = {f"CONFIG_{name}" for name in skipped[1].replace("\\", " ").split()}
    texts = [*uboot.fragments(board()).values(), render.text("yocto/u-boot-2026.cfg.j2", board())]
    values = kconfig.parse("\n".join(texts))
    lines = [f"{name}={value}" for name, value in values.items() if value is not None and name not in old]
    return "\n".join(["# U-Boot 2026.01 Configuration", *lines])
