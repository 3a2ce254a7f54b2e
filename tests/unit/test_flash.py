# SPDX-License-Identifier: MIT
"""Flashing: every reason to refuse a device, from lsblk's output, before the one device that is taken."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import flash
from firmware.card import Origin
from firmware.errors import ToolError, UserError

pytestmark = pytest.mark.unit
NEEDED = 1 << 30


def device(path: str, **changes: Any) -> flash.Device:
    """A card of 32 GB as lsblk describes it, with `changes`."""
    plain: flash.Device = {
        "path": path,
        "type": "disk",
        "ro": False,
        "rm": True,
        "hotplug": True,
        "size": 32_000_000_000,
        "fstype": None,
        "mountpoints": [None],
        "vendor": "Generic ",
        "model": "SD/MMC",
        "serial": "0123",
    }
    return {**plain, **changes}


def part(path: str, **changes: Any) -> flash.Device:
    """A partition, not mounted, with `changes`."""
    return device(path, type="part", size=1 << 28, **changes)


SYSTEM = device("/dev/sda", rm=False, hotplug=False, model="SSD", children=[part("/dev/sda1", mountpoints=["/"])])
DEEP = device(
    "/dev/sdd", children=[part("/dev/sdd1", fstype="crypto_LUKS", children=[device("/dev/mapper/x", type="crypt")])]
)
DEVICES = [
    SYSTEM,
    device("/dev/sdb", children=[part("/dev/sdb1"), part("/dev/sdb2")]),
    device("/dev/sdc", children=[part("/dev/sdc1", mountpoints=[None, "/media/me/CARD"])]),
    DEEP,
    device("/dev/sde", children=[part("/dev/sde1", fstype="swap", mountpoints=["[SWAP]"])]),
    device("/dev/sdf", children=[part("/dev/sdf1", fstype="LVM2_member")]),
    device("/dev/sdg", ro=True),
    device("/dev/sdh", size=NEEDED - 1),
    device("/dev/sdi", size=0),
    device("/dev/sdj", rm=False, hotplug=False),
    device("/dev/sdk", mountpoints=["/mnt"]),
    device("/dev/sr0", type="rom"),
]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/nothing", "no block device .valid: /dev/sdb .Generic SD/MMC, 32.0 GB, serial 0123.+"),
        ("/dev/sda", "/dev/sda1 holds the running system"),
        ("/dev/sda", "not removable"),
        ("/dev/sdb1", r"a partition \(valid: the whole card, /dev/sdb\)"),
        ("/dev/sdc", "/dev/sdc1 is mounted on /media/me/CARD"),
        ("/dev/sdd", "/dev/mapper/x belongs to crypt"),
        ("/dev/sde", "/dev/sde1 is swap space in use"),
        ("/dev/sdf", "/dev/sdf1 belongs to LVM2_member"),
        ("/dev/sdg", "read-only"),
        ("/dev/sdh", f"{NEEDED - 1} bytes large .valid: at least {NEEDED}"),
        ("/dev/sdi", "0 bytes large"),
        ("/dev/sdj", "not removable: a disk of this computer"),
        ("/dev/sdk", "/dev/sdk is mounted on /mnt"),
        ("/dev/sr0", "a rom device"),
    ],
)
def test_device_is_refused(path: str, said: str) -> None:
    assert re.search(said, "\n".join(flash.refusals(DEVICES, path, NEEDED)))


@pytest.mark.parametrize("path", ["/dev/sda", "/dev/sdc", "/dev/sdd", "/dev/sde", "/dev/sdf", "/dev/sdg", "/dev/sdh"])
def test_saying_that_it_is_fixed_allows_nothing_else(path: str) -> None:
    assert flash.refusals(DEVICES, path, NEEDED, fixed=True)


def test_only_a_free_card_is_proposed() -> None:
    (reason,) = flash.refusals(DEVICES, "/dev/nothing", NEEDED)
    assert [d["path"] for d in DEVICES if d["path"] in reason] == ["/dev/sdb"]


def test_no_card_is_said() -> None:
    assert "there is none now" in flash.refusals([SYSTEM], "/dev/nothing", NEEDED)[0]


def test_free_card_is_taken() -> None:
    assert flash.refusals(DEVICES, "/dev/sdb", NEEDED) == []
    assert flash.refusals(DEVICES, "/dev/sdb", 32_000_000_000) == []
    assert flash.refusals(DEVICES, "/dev/sdj", NEEDED, fixed=True) == []


@pytest.fixture
def source(tmp_path: Path) -> flash.Source:
    image, bmap = tmp_path / "x.img", tmp_path / "x.img.bmap"
    image.write_bytes(b"image")
    bmap.write_text("<bmap/>")
    return flash.Source(image, bmap, Origin("x1", "1.0", hashlib.sha256(b"image").hexdigest()))


def test_missing_image_is_refused(source: flash.Source) -> None:
    source.bmap.unlink()
    with pytest.raises(UserError, match=r"no file .*bmap .*run \./inv build first"):
        flash.write("/dev/null", source)


def test_changed_image_is_refused(source: flash.Source) -> None:
    source.image.write_bytes(b"other")
    with pytest.raises(UserError, match=r"SHA-256 is .*valid: the manifest's"):
        flash.write("/dev/null", source)


def test_what_is_no_block_device_is_refused(source: flash.Source, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no block device"):
        flash.write(str(tmp_path), source)


def test_wrong_confirmation_writes_nothing(source: flash.Source, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "y"

    with pytest.raises(UserError, match="not confirmed, nothing was written"):
        flash.write(str(card), source, file=True, ask=answer)
    assert card.read_bytes() == b"precious"
    assert "It becomes a card of x1, version 1.0. Type " in asked[0], "whoever forgot --board sees it here"


def test_sudo_would_make_the_card_root_s(monkeypatch: pytest.MonkeyPatch, source: flash.Source) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "me")
    with pytest.raises(UserError, match=r"sudo: .*root's key, not yours \(valid: .* sudo chown \$USER /dev/sdx\)"):
        flash.flash("/dev/sdx", SimpleNamespace(path=lambda _name: source.image))  # type: ignore[arg-type]


def test_device_of_others_says_how_it_is_lent(
    source: flash.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card").touch()
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(UserError, match=r"cannot be written by you \(valid: sudo chown \$USER .*/card, then again\)"):
        flash.write(str(tmp_path / "card"), source, file=True)


BLOCK = 4096
CONTENT = bytes(BLOCK) + b"\1" * (2 * BLOCK) + bytes(BLOCK) + b"\2" * 100
BMAP = f"""<bmap version="2.0"><BlockSize> {BLOCK} </BlockSize><BlockMap>
    <Range chksum="{hashlib.sha256(CONTENT[BLOCK : 3 * BLOCK]).hexdigest()}"> 1-2 </Range>
    <Range chksum="{hashlib.sha256(CONTENT[4 * BLOCK :]).hexdigest()}"> 4 </Range>
</BlockMap></bmap>"""


@pytest.mark.parametrize("offset", [BLOCK, 3 * BLOCK - 1, 4 * BLOCK, len(CONTENT) - 1])
def test_worn_out_card_is_noticed(tmp_path: Path, offset: int) -> None:
    card, damaged = tmp_path / "card", bytearray(CONTENT)
    damaged[offset] ^= 0x80
    card.write_bytes(damaged)
    with pytest.raises(ToolError, match=r"bytes \d+ to \d+ differ from the image"):
        flash.verify(card, BMAP)


def test_bmap_without_hashes_is_not_taken_for_verified(tmp_path: Path) -> None:
    (tmp_path / "card").write_bytes(CONTENT)
    with pytest.raises(ToolError, match="no range with a SHA-256"):
        flash.verify(tmp_path / "card", "<bmap><BlockSize> 4096 </BlockSize></bmap>")


def test_card_is_read_anew_without_the_rights_of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLKFLSBUF is for CAP_SYS_ADMIN: a person who may only write the device got a traceback behind the writing."""
    asked: list[int] = []
    monkeypatch.setattr(Path, "is_block_device", lambda _path: True)
    monkeypatch.setattr(os, "posix_fadvise", lambda _fd, _from, _length, advice: asked.append(advice))
    (tmp_path / "card").write_bytes(CONTENT)
    flash.verify(tmp_path / "card", BMAP)
    assert asked == [os.POSIX_FADV_DONTNEED]


def test_what_the_image_does_not_map_may_differ(tmp_path: Path) -> None:
    card, other = tmp_path / "card", bytearray(CONTENT)
    other[0] = other[3 * BLOCK] = 0xFF
    card.write_bytes(other)
    flash.verify(card, BMAP)
