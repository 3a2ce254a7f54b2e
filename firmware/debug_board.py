# SPDX-License-Identifier: MIT
"""An emulated board with the product's image on a card, but with the kernel's flavour "debug" and the driver for it.

The debian engine's steps with another kernel; the image is a stage of its own and never published. Its kernel takes
half an hour to compile and minutes to boot: for tests of the slow tier and for `./inv bench --only=fuzz_reports`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware import base, card, driver, image, kernel, keys, overlay, reach, recipe, rootfs, uboot
from firmware.board import Board
from firmware.emulator import Emulator
from firmware.known_hosts import KnownHosts
from firmware.payload import Parts
from firmware.ssh import Target

FLAVOUR = "debug"
BOOT_SECONDS = 900.0


def build(board: Board) -> Path:
    """The card's image, `<board>.img`, with the debug kernel in it."""
    built = kernel.build(board, FLAVOUR)
    system = base.build(recipe.load_all())
    parts = Parts(built, driver.build(built), overlay.build(board), keys.development().authority)
    slot = rootfs.build(board, system, parts)
    return image.build(board, uboot.build(board), slot, int((system / "epoch").read_text())) / f"{board.name}.img"


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
