# SPDX-License-Identifier: MIT
"""SPL and U-Boot replaced on the board: what does not fit first, then the power cut behind every sector."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
import struct
import sys
import zlib
from pathlib import Path

import pytest

from firmware import boot_loader as carried
from firmware import layout, paths, proof

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import boot_loader
from field_update.boot_loader import Loader, place_of, refusals, replace, spl_is_whole
from field_update.system import Failure

pytestmark = pytest.mark.unit

SPL, PLACES, SIZE = layout.SPL_BYTES, layout.U_BOOT_OFFSETS, layout.BOOT.size
ENVIRONMENT = "".join(f"/dev/mmcblk0 {at:#x} {layout.ENVIRONMENT_BYTES:#x}\n" for at in layout.ENVIRONMENT_OFFSETS)
SPL_IMAGE_BYTES = 40 << 10


def spl(text: str) -> bytes:
    """An SPL as U-Boot's socfpgaimage makes it, padded to its 64 KiB."""
    body = bytearray((text.encode() * SPL_IMAGE_BYTES)[: SPL_IMAGE_BYTES - 4])
    header = struct.pack("<IBBHH", proof.SPL_VALIDATION, 0, 0, SPL_IMAGE_BYTES // 4, 0)
    body[0x40:0x4C] = header + struct.pack("<H", sum(header) & 0xFFFF)
    image = bytes(body) + proof.crc32_bzip2(bytes(body)).to_bytes(4, "little")
    return image.ljust(SPL, b"\0")


def u_boot(text: str, size: int = 9000) -> bytes:
    """A legacy image."""
    data = (text.encode() * size)[:size]
    head = bytearray(struct.pack(">7I", 0x27051956, 0, 0, size, 0, 0, zlib.crc32(data)).ljust(64, b"\0"))
    head[4:8] = zlib.crc32(head).to_bytes(4, "big")
    return bytes(head) + data


def loader(text: str) -> Loader:
    """Boot loader `text`, for both places."""
    copies = tuple(carried.marked(spl(f"{text}{place}"), place) for place in range(len(PLACES)))
    return Loader(copies, u_boot(text), json.loads(carried.layout_text()))


OLD, NEW, NEWEST = loader("old"), loader("new"), loader("newest")


class PowerCut(Exception):
    """The power went."""


class Card(boot_loader.Medium):
    """A boot partition in memory that takes `left` more sectors, the last one torn when `torn`."""

    def __init__(self, content: bytes, left: int = 1 << 30, torn: bool = False) -> None:
        """It holds `content`."""
        self.content, self.left, self.torn, self.written = bytearray(content), left, torn, 0
        self.lies_at = -1

    def read(self, offset: int, size: int) -> bytes:
        """From the medium."""
        return bytes(self.content[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Sector by sector."""
        for at in range(0, len(data), 512):
            if not self.left:
                raise PowerCut
            self.left -= 1
            self.written += 1
            part = data[at : at + 512]
            if not self.left and self.torn:
                part = part[:256]
            if offset + at != self.lies_at:
                self.content[offset + at : offset + at + len(part)] = part

    def boots(self) -> tuple[bytes, bytes]:
        """What the boot ROM takes, and what that SPL then reads."""
        for number in range(layout.SPL_COPIES):
            copy = self.read(number * SPL, SPL)
            if not proof.check_spl(copy):
                at = PLACES[place_of(copy)]
                size = 64 + int.from_bytes(self.content[at + 12 : at + 16], "big")
                return copy, self.read(at, size)
        raise AssertionError("the board is dead: no SPL copy is whole")


def fresh(what: Loader = OLD, place: int = 0) -> bytes:
    """A card's boot partition as it was made."""
    card = Card(bytes(SIZE))
    card.write(0, what.spl[place] * layout.SPL_COPIES)
    card.write(PLACES[place], what.u_boot)
    return bytes(card.content)


def whole(card: Card, *valid: Loader) -> bool:
    """Whether the card boots one of `valid`, SPL and U-Boot of one kind."""
    return card.boots() in [(copy, each.u_boot) for each in valid for copy in each.spl]


def quiet(_text: str) -> None:
    """Nobody listens."""


def test_a_slot_without_a_boot_loader_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"carries no boot loader: .*valid: one that ./inv build made"):
        boot_loader.carried(tmp_path)


def test_what_the_build_puts_into_the_slot_is_what_the_board_reads(tmp_path: Path) -> None:
    images = [spl(str(place)) * 4 + u_boot("x") for place in range(2)]
    carried.make(tmp_path, images[0], images[1:], {})
    found = boot_loader.carried(tmp_path / carried.LOADER)
    assert [place_of(copy) for copy in found.spl] == [0, 1]
    assert found.spl[0] == images[0][:SPL], "a card that was made from the image has it already"
    assert refusals(found, SIZE, layout.BOOT.offset, ENVIRONMENT) == []


def damaged(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (NEW._replace(u_boot=u_boot("new", SIZE - PLACES[1] - 63)), "U-Boot has .* bytes .valid: up to 1835008"),
        (NEW._replace(u_boot=damaged(NEW.u_boot, 5)), "u-boot.img is damaged"),
        (NEW._replace(u_boot=damaged(NEW.u_boot, 5000)), "u-boot.img is damaged"),
        (NEW._replace(u_boot=NEW.u_boot[:-1]), "u-boot.img is damaged"),
        (NEW._replace(u_boot=b""), "u-boot.img is damaged"),
        (NEW._replace(spl=(NEW.spl[0], damaged(NEW.spl[1], 0x41))), "spl-1 is damaged"),
        (NEW._replace(spl=(damaged(NEW.spl[0], 9000), NEW.spl[1])), "spl-0 is damaged"),
        (NEW._replace(spl=(NEW.spl[0], NEW.spl[0])), "spl-1 is damaged"),
        (NEW._replace(spl=(NEW.spl[0][:-512], NEW.spl[1])), "spl-0 is damaged"),
    ],
)
def test_what_does_not_fit_the_layout_is_refused(wrong: Loader, said: str) -> None:
    (found,) = refusals(wrong, SIZE, layout.BOOT.offset, ENVIRONMENT)
    assert re.search(said, found)


@pytest.mark.parametrize(
    ("size", "start", "environment", "said"),
    [
        (SIZE - 512, layout.BOOT.offset, ENVIRONMENT, "partition 1 has 4193792 bytes at 1048576 (valid: 4194304 at"),
        (SIZE, 512, ENVIRONMENT, "partition 1 has 4194304 bytes at 512 (valid: 4194304 at 1048576)"),
        (SIZE, layout.BOOT.offset, "/dev/mmcblk0 0x400 0x10000\n", "the environment is at [['0x400', '0x10000']]"),
    ],
)
def test_a_card_of_another_layout_is_refused(size: int, start: int, environment: str, said: str) -> None:
    (found,) = refusals(NEW, size, start, environment)
    assert found.startswith(said)


def test_a_card_without_a_whole_spl_is_left_alone() -> None:
    card = Card(bytes(SIZE))
    with pytest.raises(Failure, match="none of the four SPL copies is whole"):
        replace(card, NEW, quiet)
    assert card.written == 0


def test_a_card_that_does_not_keep_what_is_written_is_said_and_still_boots() -> None:
    for at in (PLACES[1], PLACES[1] + 512, 3 * SPL, 3 * SPL + 1024, 0):
        card = Card(fresh())
        card.lies_at = at
        with pytest.raises(Failure, match="the card does not hold what was written at"):
            replace(card, NEW, quiet)
        assert whole(card, OLD, NEW)


def test_the_same_boot_loader_is_not_written_again() -> None:
    card = Card(fresh())
    assert not replace(card, OLD, quiet)
    assert card.written == 0


def test_the_new_one_boots_from_the_other_place_and_the_one_behind_it_from_the_first() -> None:
    said: list[str] = []
    card = Card(fresh())
    assert replace(card, NEW, said.append)
    assert card.boots() == (NEW.spl[1], NEW.u_boot)
    assert said == [
        "U-Boot is written to place 1",
        *(f"SPL copy {number} is written, for place 1" for number in (3, 2, 1, 0)),
    ]
    replace(card, NEWEST, quiet)
    assert card.boots() == (NEWEST.spl[0], NEWEST.u_boot)
    assert not replace(card, NEWEST, quiet)


def test_a_damaged_copy_is_healed_and_nothing_else_is_written() -> None:
    card = Card(fresh())
    card.content[SPL + 9000] ^= 1
    assert replace(card, OLD, quiet)
    assert bytes(card.content) == fresh()
    assert card.written == SPL // 512 + 1


STEPS = Card(fresh())
replace(STEPS, NEW, quiet)


def cuts(every: int) -> list[int]:
    """Sectors behind which the power is cut: the first and last ones of each step, and each `every`-th."""
    ends = [-(-len(NEW.u_boot) // 512)]
    for _ in range(layout.SPL_COPIES):
        ends += [ends[-1] + 1, ends[-1] + SPL // 512, ends[-1] + SPL // 512 + 1]
    near = {end + beside for end in ends for beside in (-1, 0, 1)} & set(range(1, STEPS.written + 1))
    return sorted(near | set(range(1, STEPS.written + 1, every)))


@pytest.mark.parametrize("torn", [False, True])
def test_power_cut_behind_any_sector_leaves_a_board_that_boots_and_that_finishes(torn: bool) -> None:
    for left in cuts(7):
        card = Card(fresh(), left, torn)
        with contextlib.suppress(PowerCut, Failure):  # the last sector, torn, is read back: it differs
            replace(card, NEW, quiet)
        assert card.left == 0
        assert whole(card, OLD, NEW), f"cut behind sector {left}"
        again = Card(bytes(card.content))
        replace(again, NEW, quiet)
        assert whole(again, NEW)
        assert not replace(again, NEW, quiet)
        assert all(spl_is_whole(again.read(number * SPL, SPL)) for number in range(layout.SPL_COPIES))


def test_power_cut_in_the_upgrade_that_follows_one_that_was_cut() -> None:
    for first, second in itertools.product(cuts(200), cuts(200)):
        card = Card(fresh(), first)
        with contextlib.suppress(PowerCut):
            replace(card, NEW, quiet)
        again = Card(bytes(card.content), second)
        with contextlib.suppress(PowerCut):
            replace(again, NEWEST, quiet)
        assert whole(again, OLD, NEW, NEWEST), f"cut behind sector {first}, then {second}"


def test_settings_are_those_of_the_layout() -> None:
    facts = json.loads(carried.layout_text())
    assert facts["u_boot_offsets"][0] == layout.U_BOOT_OFFSET
    assert dataclasses.astuple(layout.BOOT)[3:] == (facts["offset"], facts["size"])
