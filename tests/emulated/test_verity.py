# SPDX-License-Identifier: MIT
"""Damage on the card: the kernel finds it when the block is read, and the board goes on with what is whole.

The same content lies in both slots. Each test makes its card anew: a board that has booted a damaged slot is never the
same again.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import deploy, engine, layout, reach, slots, tool, verity
from firmware.choice import Choice
from firmware.deploy import Status
from firmware.emulator import Emulator
from firmware.file_system import FileSystem
from firmware.fit import RELEASE
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target
from tests.emulated.boot_card import BOARD

pytestmark = pytest.mark.emulated

SERVICE = "/usr/lib/systemd/system/captured.service"
FOUR_BOOTS = 4 * reach.BOOT_SECONDS
Spoil = Callable[[Path], None]


def debugfs(card: Path, slot: str, request: str, write: bool = False) -> str:
    """What debugfs says of a slot in a card."""
    device = FileSystem(card, layout.SLOTS[slot].offset).device
    argv = [tool.need("debugfs", "e2fsprogs"), *(["-w"] if write else []), "-R", request, device]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def flip(card: Path, slot: str, block: int, byte: int = 2048) -> None:
    """Turn over one bit of a block of a slot."""
    with card.open("r+b") as stream:
        stream.seek(layout.SLOTS[slot].offset + block * verity.BLOCK_BYTES + byte)
        before = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([before ^ 0x10]))


def blocks_of(card: Path, path: str) -> list[int]:
    """The blocks of slot A in which the file `path` lies."""
    return [int(word) for word in debugfs(card, "A", f"blocks {path}").split()]


def free_block(card: Path) -> int:
    """A block of slot A that no file has."""
    found = re.search(r"Free blocks found: (\d+)", debugfs(card, "A", "ffb 1 20000"))
    assert found is not None
    return int(found[1])


@contextlib.contextmanager
def board(folder: Path, spoil: Spoil) -> Iterator[Target]:
    """A board whose card holds the release in both slots, spoilt by `spoil`; on."""
    card, known = folder / "card.img", KnownHosts(folder / "known_hosts")
    reach.make_card(engine.build(BOARD, Choice().engine), card, known)
    slot = engine.bundle_inputs(BOARD).rootfs
    argv = ["dd", f"if={slot}", f"of={card}", "bs=1M", f"seek={layout.SLOT_B.offset // layout.MIB}"]
    subprocess.run([*argv, "conv=notrunc,sparse", "status=none"], check=True)
    spoil(card)
    machine = Emulator(BOARD, card, folder)
    machine.start()
    try:
        with contextlib.closing(Target(reach.LOOPBACK, machine.ssh_port, known=known)) as target:
            yield target
    finally:
        machine.stop()


def came_up(target: Target, slot: str = "A", seconds: float = FOUR_BOOTS) -> Status:
    """The board's status, when it has judged a boot from `slot`."""
    target.wait_for_reboot("", seconds)
    while f"rauc.slot={slot}" not in target.get("/proc/cmdline"):
        target.wait_for_reboot(target.boot_id(), seconds)
    return deploy.verdict(target)


def forget_tree(card: Path) -> None:
    """Make slot A one of a version that had no trees."""
    debugfs(card, "A", f"rm {layout.VERITY_MARK}", write=True)


def spoil_parameters(card: Path) -> None:
    blocks = verity.read(card, layout.SLOT_A.offset).blocks
    with card.open("r+b") as stream:
        stream.seek(layout.SLOT_A.offset + blocks * verity.BLOCK_BYTES)
        stream.write(bytes(verity.BLOCK_BYTES))


def test_slot_without_a_tree_is_booted_as_ever(tmp_path: Path) -> None:
    with board(tmp_path, forget_tree) as target:
        now = came_up(target)
        assert (now["booted"], now["damage"]) == ("A", "")
        assert "root=/dev/mmcblk0p2" in target.get("/proc/cmdline").split()
        assert [line for line in now["environment"]["noted"] if "hash tree" in line] == []
        assert "nothing to check it against" in target.output(["field-update", "verify"], sudo=True)


def test_block_that_no_boot_reads_is_found_by_reading_all(tmp_path: Path) -> None:
    spoilt: list[int] = []

    def spoil(card: Path) -> None:
        spoilt.append(free_block(card))
        flip(card, "A", spoilt[0])

    with board(tmp_path, spoil) as target:
        assert (came_up(target)["damage"], deploy.status(target)["booted"]) == ("", "A")
        done = target.run(["field-update", "verify"], sudo=True)
        said = f"the slot is damaged: 1 damaged block, the first at {spoilt[0] * verity.BLOCK_BYTES:#x} of the slot"
        assert (done.status, done.stdout.strip()) == (1, said)
        now = deploy.status(target)
        assert (now["booted"], now["damage"]) == ("A", said)
        assert f"{said} (valid: install a version again" in slots.describe(json.loads(target.get(RELEASE)), now)
        deploy.reboot(target, lambda _text: None)
        assert deploy.verdict(target)["booted"] == "A", "what no boot reads keeps no boot from passing"


def test_damage_in_what_u_boot_loads_is_told_by_a_board_that_works(tmp_path: Path) -> None:
    """Behind the end of the device tree, in its last block: U-Boot and the kernel see nothing of it."""
    with board(tmp_path, lambda card: flip(card, "A", blocks_of(card, "/boot/board.dtb")[-1], 4095)) as target:
        now = came_up(target)
        assert (now["booted"], now["trial"], now["last"]) == ("A", None, None)
        assert now["damage"].startswith("the slot is damaged: 1 of the blocks that were read, block ")
        assert "kept" in target.output(["journalctl", "-u", "field-update-boot", "-o", "cat", "--no-pager"], sudo=True)


@pytest.mark.slow
def test_damaged_slot_whose_service_does_not_run_gives_way(tmp_path: Path) -> None:
    with board(tmp_path, lambda card: flip(card, "A", blocks_of(card, SERVICE)[0])) as target:
        now = came_up(target, "B")
        assert (now["booted"], now["trial"], now["damage"]) == ("B", None, "")
        assert now["last"] is not None
        assert (now["last"]["event"], now["last"]["slot"]) == ("damaged", "A")
        assert target.output(["systemctl", "is-active", "captured"]).strip() == "active"


def spoil_systemd(card: Path) -> None:
    flip(card, "A", blocks_of(card, "/usr/lib/systemd/systemd")[0])


def spoil_field_update(card: Path) -> None:
    flip(card, "A", blocks_of(card, "/usr/sbin/field-update")[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "said", "times"),
    [
        (spoil_systemd, "Kernel panic", layout.BOOT_ATTEMPTS),
        (spoil_field_update, "slot A, attempts left", layout.BOOT_ATTEMPTS),
        (spoil_parameters, "slot A has lost its hash tree", 1),
    ],
)
def test_slot_that_gets_no_further_gives_way(tmp_path: Path, spoil: Spoil, said: str, times: int) -> None:
    with board(tmp_path, spoil) as target:
        now = came_up(target, "B")
        assert (now["booted"], now["trial"], now["damage"]) == ("B", None, "")
        assert any("U-Boot tries slot A first, and has booted B" in line for line in now["environment"]["noted"])
        assert (tmp_path / "console.log").read_text(errors="replace").count(said) == times
