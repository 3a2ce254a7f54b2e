# SPDX-License-Identifier: MIT
"""U-Boot's own commands at its prompt: software that nobody here wrote, against the models.

`mmc`, `saveenv`, `dhcp` and `ping`, `fpga load`, `bridge enable`, `wdt`. One board for all of them but what resets it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import layout, overlay
from tests.emulated import boot_card
from tests.emulated.boot_card import BOARD, Bare

pytestmark = pytest.mark.emulated

HEAD = 0x01000000  # where memory is free for these tests
BACK = 0x01800000
FABRIC_OFFSET = 10 * layout.MIB  # on the card, behind the environment
SECTOR = layout.SECTOR_BYTES
SYSID = 0xFF200000 + BOARD.fabric.sysid.offset  # lightweight bridge
WATCHDOG = "watchdog@ffd02000"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with U-Boot and, at FABRIC_OFFSET, the fabric."""
    path = boot_card.make(tmp_path_factory.mktemp("card") / "card.img")
    with path.open("r+b") as stream:
        stream.seek(FABRIC_OFFSET)
        stream.write(fabric())
    return path


@pytest.fixture(scope="module")
def bare(card: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    with boot_card.powered(card, tmp_path_factory.mktemp("run")) as running:
        yield running


def fabric() -> bytes:
    return (overlay.build(BOARD) / "fabric.rbf").read_bytes()


def crc32(bare: Bare, address: int, size: int) -> int:
    return int(re.findall(r"==> ([0-9a-f]{8})", bare.prompt.run(f"crc32 {address:x} {size:x}"))[0], 16)


def read_fabric(bare: Bare) -> None:
    bare.prompt.run(f"mmc read {HEAD:x} {FABRIC_OFFSET // SECTOR:x} {-(-len(fabric()) // SECTOR):x}")


# ---- the card ----


def test_mmc_refuses_what_is_not_on_the_card(bare: Bare) -> None:
    sectors = boot_card.CARD_BYTES // SECTOR
    assert bare.prompt.attempt(f"mmc read {HEAD:x} {sectors:x} 1").status != 0
    assert bare.prompt.attempt("mmc dev 7").status != 0


def test_mmc_says_what_card_it_is(bare: Bare) -> None:
    said = bare.prompt.run("mmc info")
    assert "Capacity: 16 MiB" in said
    assert "Bus Width: 4-bit" in said


@pytest.mark.parametrize("sectors", [1, 8, 2048])
def test_mmc_writes_and_reads(bare: Bare, card: Path, sectors: int) -> None:
    place, size = 12 * layout.MIB, sectors * SECTOR
    bare.prompt.run(f"mmc read {HEAD:x} {layout.BOOT.offset // SECTOR:x} {sectors:x}")
    bare.prompt.run(f"mmc write {HEAD:x} {place // SECTOR:x} {sectors:x}")
    bare.prompt.run(f"mw.b {BACK:x} 5a {size:x}; mmc read {BACK:x} {place // SECTOR:x} {sectors:x}")
    with card.open("rb") as stream:
        stream.seek(layout.BOOT.offset)
        expected = stream.read(size)
        stream.seek(place)
        assert stream.read(size) == expected
    assert crc32(bare, BACK, size) == zlib.crc32(expected)


def test_mmc_lists_the_partition(bare: Bare) -> None:
    assert re.search(r"\ba2\b", bare.prompt.run("mmc part"))


# ---- the network ----


def test_ping_without_an_address_fails(bare: Bare) -> None:
    bare.prompt.run("setenv ipaddr; setenv serverip")
    assert bare.prompt.attempt("ping 10.0.2.2").status != 0


def test_dhcp_and_ping(bare: Bare) -> None:
    said = bare.prompt.run("setenv autoload no; dhcp")
    assert "DHCP client bound to address 10.0.2.15" in said
    assert "host 10.0.2.2 is alive" in bare.prompt.run("ping 10.0.2.2")


# ---- the fabric ----


def test_bridge_is_shut_until_the_fabric_is_there(card: Path, tmp_path: Path) -> None:
    copy = tmp_path / "card.img"
    copy.write_bytes(card.read_bytes())
    with boot_card.powered(copy, tmp_path / "run") as bare:
        bare.prompt.send(f"md.l {SYSID:x} 1", "data abort")
        bare.prompt.enter()  # it has been reset


def test_truncated_fabric_is_refused(bare: Bare) -> None:
    read_fabric(bare)
    assert bare.prompt.attempt(f"fpga load 0 {HEAD:x} 1000").status != 0


def test_fabric_is_loaded_and_answers_behind_the_bridge(bare: Bare) -> None:
    read_fabric(bare)
    bare.prompt.run(f"fpga load 0 {HEAD:x} {len(fabric()):x}")
    bare.prompt.run("bridge enable")
    assert f"{BOARD.fabric.id:08x}" in bare.prompt.run(f"md.l {SYSID:x} 1")


# ---- environment and watchdog: these reset the board ----


def test_saved_environment_is_there_after_a_reset(bare: Bare) -> None:
    bare.prompt.run("setenv lasting 42; saveenv; setenv fleeting 43")
    bare.prompt.send("reset", r"U-Boot SPL \d+")
    assert "lasting=42" in bare.prompt.run("printenv lasting")
    assert bare.prompt.attempt("printenv fleeting").status != 0
    bare.prompt.run("saveenv")  # the other copy
    bare.prompt.send("reset", r"U-Boot SPL \d+")
    assert "lasting=42" in bare.prompt.run("printenv lasting")


def test_wdt_refuses_what_is_no_watchdog(bare: Bare) -> None:
    assert bare.prompt.attempt("wdt dev no-such-watchdog").status != 0


def test_wdt_lists_and_bites(bare: Bare) -> None:
    assert WATCHDOG in bare.prompt.run("wdt list")
    bare.prompt.run(f"wdt dev {WATCHDOG}")
    bare.prompt.send("wdt expire", r"U-Boot SPL \d+")
    assert "watchdog L4WD0 has expired" in bare.emulator.log.read_text()
