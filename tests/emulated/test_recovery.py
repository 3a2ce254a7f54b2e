# SPDX-License-Identifier: MIT
"""Both slots are bad: the board tries for ever, and at its console's prompt a slot comes back by network.

Without a slot on the card the attempts, the reset and the prompt; with the product's image, whose two slots are spoilt,
the whole way back to a board that runs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import deploy, engine, layout, reach
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.fit import RELEASE
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target
from tests.emulated import boot_card
from tests.emulated.boot_card import BOARD, Bare
from tests.emulated.prompt import Prompt

pytestmark = pytest.mark.emulated

SECONDS = 120.0
ANNOUNCED = r"boot: type stop at the countdown then, for a prompt"
SPOILT_BYTES = 1 << 16  # the superblock and what follows it


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Bare]:
    """A board whose card holds U-Boot and no slot."""
    with boot_card.powered(boot_card.make(tmp_path / "card.img"), tmp_path) as running:
        yield running


def test_board_with_nobody_at_its_console_tries_again_for_ever(empty: Bare) -> None:
    empty.prompt.run("setenv recovery_seconds 1; saveenv")
    empty.prompt.send("reset", r"U-Boot SPL \d+")
    rounds = [empty.prompt.see(r"(?s)\nNet: .*?no slot could be booted.*?U-Boot SPL \d+") for _ in range(4)]
    for number, left in enumerate((2, 1, 0, 2)):
        for name in layout.SLOTS:
            assert f"boot: slot {name}, attempts left after this one: {left}\n" in rounds[number]
    again = ["boot: no attempts left, counters are set again" in each for each in rounds]
    assert again == [False, False, False, True]


def test_whoever_is_there_has_time_for_the_prompt(empty: Bare) -> None:
    empty.prompt.see(ANNOUNCED)
    empty.prompt.enter()
    assert "Type stop for a prompt (30 s)" in empty.emulator.console_log.read_text()
    assert "recovery: nothing fetched" in empty.prompt.run("setenv recovery_file none; run recover")
    empty.prompt.send("boot", ANNOUNCED)
    empty.prompt.enter()
    assert empty.prompt.run("printenv bootdelay") == "bootdelay=30"


def spoil(card: Path, partition: layout.Partition) -> None:
    with card.open("r+b") as stream:
        stream.seek(partition.offset)
        stream.write(bytes(SPOILT_BYTES))


@pytest.fixture
def spoilt(tmp_path: Path) -> Iterator[Emulator]:
    """The release image, both of its slots spoilt; its content can be fetched by TFTP."""
    card, known, served = tmp_path / "card.img", KnownHosts(tmp_path / "known_hosts"), tmp_path / "tftp"
    reach.make_card(engine.build(BOARD, Choice().engine), card, known)
    for slot in layout.SLOTS.values():
        spoil(card, slot)
    served.mkdir()
    (served / "rootfs.ext4").symlink_to(engine.bundle_inputs(BOARD).rootfs)
    machine = Emulator(BOARD, card, tmp_path)
    machine.start(tftp=served)
    yield machine
    machine.stop()


@pytest.fixture
def way_in(spoilt: Emulator) -> Iterator[Target]:
    """SSH to it: its identity is on the data partition, and still the pinned one."""
    known = KnownHosts(spoilt.folder / "known_hosts")
    with contextlib.closing(Target(reach.LOOPBACK, spoilt.ssh_port, known=known)) as target:
        yield target


def test_board_whose_slots_are_spoilt_comes_back_by_the_network(spoilt: Emulator, way_in: Target) -> None:
    prompt = Prompt(spoilt, SECONDS)
    prompt.see(ANNOUNCED)
    said = prompt.run("run recover")
    print(f"\n{said}")
    assert "recovery: slot A is written; boot tries it" in said
    mac = prompt.run("printenv ethaddr").partition("=")[2]
    prompt.send("boot", "Starting kernel")
    way_in.wait_for_reboot("", reach.BOOT_SECONDS)
    assert way_in.get("/sys/class/net/eth0/address").strip() == mac, "it asked DHCP as another one"
    now = deploy.verdict(way_in)
    assert (now["booted"], now["trial"], now["environment"]["wrong"]) == ("A", None, [])
    assert json.loads(way_in.get(RELEASE))["board"] == BOARD.name
