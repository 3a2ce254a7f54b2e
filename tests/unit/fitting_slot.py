# SPDX-License-Identifier: MIT
"""A slot whose parts fit each other, as small as can be, for tests that break it in one way."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from pathlib import Path

from firmware import board, ext4, fit, overlay, payload, render
from firmware.fit import Slot
from firmware.tree import Tree

BOARD = board.load("sockit")
RELEASE = "6.12.1-capture"
VERMAGIC = f"{RELEASE} SMP mod_unload ARMv7 p2v8 "
DRIVER = f"{fit.MODULES}/{RELEASE}/{payload.DRIVER_PLACE}"
BASE = """/dts-v1/;
/ { compatible = "terasic,socfpga-cyclone5-sockit", "altr,socfpga-cyclone5"; #address-cells = <1>; #size-cells = <1>;
    soc: soc { #address-cells = <1>; #size-cells = <1>; MORE
        intc: interrupt-controller@fffed000 { reg = <0xfffed000 0x1000>; #interrupt-cells = <3>; }; }; };
"""
USED = "serial@ff200100 { reg = <0xff200100 0x40>; };"
CAPTURE = "capture@ff200000 { reg = <REG>; cyclone-capture,fabric-id = <0xcc5a0001>; };"


def compiled(text: str) -> bytes:
    """A device tree."""
    command = ["dtc", "-@", "-q", "-I", "dts", "-O", "dtb"]
    return subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout


def overlay_of(target: str, content: str) -> bytes:
    """An overlay of one fragment."""
    return compiled(f"/dts-v1/; /plugin/; / {{ fragment@0 {{ {target}; __overlay__ {{ {content} }}; }}; }};")


def kernel(release: str = RELEASE, vermagic: str = VERMAGIC) -> bytes:
    """A zImage, as far as it is looked at: code, a false gzip header, and the packed kernel."""
    text = f"Linux version {release} (cyclone@capture)\0{vermagic}\0".encode()
    return bytes(64) + fit.GZIP + b"no gzip" + gzip.compress(text) + b"behind it"


def make(folder: Path) -> Slot:
    """The parts of a slot that fit each other; `folder` is for scratch."""
    dtbo = overlay.compile_overlay(overlay.source(BOARD), folder).read_bytes()
    release = {"board": "sockit", "version": "1", "kernel": RELEASE, "fabric_id": BOARD.fabric.id}
    return Slot(
        {
            fit.KERNEL: kernel(),
            fit.TREE: compiled(BASE.replace("MORE", "")),
            fit.OVERLAY: dtbo,
            fit.FABRIC: overlay.stand_in(BOARD.fabric.id),
            fit.RELEASE: json.dumps(release).encode(),
            fit.RAUC: render.text("update/system.conf.j2", BOARD).encode(),
            **dict.fromkeys(fit.PROGRAMS, b"a program, or its unit"),
            DRIVER: f"\x7fELF\0name=capture_ring\0vermagic={VERMAGIC}\0".encode(),
        },
        (RELEASE,),
    )


def write(slot: Slot, image: Path, scratch: Path) -> Path:
    """The slot as a file system, with 256 KiB that do not compress."""
    tree = Tree(1_700_000_000)
    for path, content in slot.files.items():
        tree.file(path, content)
    tree.file("/filler", random.Random(1).randbytes(256 << 10))  # noqa: S311  # content of no meaning
    ext4.make(tree, image, 4 << 20, "slot", "fits", scratch)
    return image
