# SPDX-License-Identifier: MIT
"""An emulated board with the product's image on a card, but with the kernel's flavour "debug" and the driver for it.

The debian engine's steps with another kernel, and with a first program of its own in place of systemd
(`tests/emulated/programs/debug_init.sh`): OpenSSH and the driver, no service. The image is a stage of its own and never
published. Its kernel takes half an hour to compile and half a minute to boot: for tests of the slow tier and for
`./inv bench --only=fuzz_reports`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware import (
    base,
    card,
    driver,
    ext4,
    image,
    kernel,
    keys,
    overlay,
    program,
    reach,
    recipe,
    rootfs,
    uboot,
    verity,
)
from firmware.board import Board, Ring
from firmware.emulator import Emulator
from firmware.known_hosts import KnownHosts
from firmware.payload import Parts
from firmware.ssh import Target
from firmware.stage import Stage
from firmware.tree import Tree

FLAVOUR = "debug"
FIRST_PROGRAM = program.PROGRAMS / "debug_init.sh"
BOOT_SECONDS = 600.0


def _with_first_program(slot: Path, epoch: int) -> Path:
    """The slot with the first program in place of systemd."""

    def work(folder: Path) -> None:
        shutil.copyfile(slot / "rootfs.ext4", folder / "rootfs.ext4")
        changes = Tree(epoch)
        changes.file("/usr/sbin/init", FIRST_PROGRAM, 0o755)
        with tempfile.TemporaryDirectory(prefix="debug-", dir=folder.parent) as scratch:
            ext4.edit(folder / "rootfs.ext4", changes, Path(scratch))
        verity.add(folder / "rootfs.ext4")

    return Stage("debug-slot", texts={"slot": slot.name, "epoch": str(epoch)}, files=(FIRST_PROGRAM,)).make(work)


def build(board: Board) -> Path:
    """The card's image, `<board>.img`, with the debug kernel in it."""
    built = kernel.build(board, FLAVOUR)
    system = base.build(recipe.load_all())
    parts = Parts(built, driver.build(built), overlay.build(board), keys.development().authority)
    epoch = int((system / "epoch").read_text())
    slot = _with_first_program(rootfs.build(board, system, parts), epoch)
    return image.build(board, uboot.build(board), slot, epoch) / f"{board.name}.img"


def small(board: Board) -> Board:
    """The board with a ring of half a MiB, for the fuzzer, which opens the device thousands of times.

    Each open makes the device tree's ring anew, and the checkers are slow with memory.
    """
    return board.model_copy(update={"ring": Ring(block_bytes=64 << 10, blocks=8)})


@contextmanager
def booted(board: Board, folder: Path, **options: str) -> Iterator[tuple[Emulator, Target]]:
    """The board with a fresh card in `folder`, on and answering; `options` as for `Emulator`; off behind the block."""
    made, path, known = build(board), folder / "card.img", KnownHosts(folder / "known_hosts")
    origin = card.Origin(board.name, FLAVOUR, (made.parent / "sha256").read_text().strip())
    card.create(made, path, origin, known=known)
    machine = Emulator(board, path, folder, **options)
    machine.start()
    try:
        target = Target(reach.LOOPBACK, machine.ssh_port, known=known)
        target.wait_for_reboot("", BOOT_SECONDS)
        with target:
            yield machine, target
    finally:
        machine.stop()
