# SPDX-License-Identifier: MIT
"""A slot's hash tree: real `veritysetup` on small file systems; every kind of damage is seen."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from firmware import ext4, layout, verity
from firmware.errors import UserError
from firmware.tree import Tree

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("veritysetup", path="/usr/sbin:/sbin") is None, reason="no cryptsetup-bin here"),
]
EPOCH = 1_700_000_000
MIB = 1 << 20


def slot(folder: Path, text: str = "one") -> Path:
    """A file system of 4 MiB."""
    content = Tree(EPOCH)
    content.file("/etc/word", text)
    ext4.make(content, folder / "slot.ext4", 4 * MIB, "slot", "seed", folder)
    return folder / "slot.ext4"


def flip(path: Path, offset: int, bit: int = 1) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ bit]))


@pytest.mark.parametrize("content", [b"", bytes(4 * MIB), b"text" * 1024])
def test_what_holds_no_file_system_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match="holds no ext4 file system at 0x0"):
        verity.add(tmp_path / "x")


def test_blocks_of_another_size_are_refused(tmp_path: Path) -> None:
    path = slot(tmp_path)
    flip(path, 1024 + 24, 2)
    with pytest.raises(UserError, match=r"has blocks of 1024 bytes .valid: 4096"):
        verity.add(path)


def test_tree_stands_behind_the_file_system(tmp_path: Path) -> None:
    path = slot(tmp_path)
    bare = path.read_bytes()
    made = verity.add(path)
    assert verity.faults(path) == ""
    whole = path.read_bytes()
    assert whole[: len(bare)] == bare
    assert (made.blocks, made.start) == (1024, 1025)
    assert whole[4 * MIB :].startswith(
        f"verity_sectors=8192\nverity_table=4096 4096 1024 1025 sha256 {made.root_hash}".encode()
    )
    assert len(whole) == 5 * MIB == verity.whole_bytes(4 * MIB)
    assert ext4.read(path, "/etc/word") == "one"


def test_same_content_gives_the_same_tree_and_a_second_call_changes_nothing(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    first, second = slot(tmp_path / "a"), slot(tmp_path / "b")
    assert verity.add(first) == verity.add(second)
    assert verity.add(first) == verity.read(first)
    assert first.read_bytes() == second.read_bytes()


def test_tree_is_made_anew_for_changed_content(tmp_path: Path) -> None:
    path = slot(tmp_path)
    before = verity.add(path)
    changes = Tree(EPOCH)
    changes.file("/etc/word", "two")
    ext4.edit(path, changes, tmp_path)
    assert "veritysetup: Verification of data area failed" in verity.faults(path)
    assert verity.add(path).root_hash != before.root_hash
    assert verity.faults(path) == ""


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (2 * MIB, "veritysetup: .*valid: a tree that agrees"),  # a block of the file system
        (4 * MIB + 4096 + 40, "veritysetup: .*valid: a tree that agrees"),  # of the tree
        (4 * MIB + 80, "behind the file system|veritysetup"),  # the root hash
        (4 * MIB, "behind the file system .valid: verity's parameters for 1024 blocks"),
        (4 * MIB + 4000, "behind the file system .valid: verity's parameters for 1024 blocks"),
    ],
)
@pytest.mark.parametrize("at", [0, 3 * MIB])
def test_damage_is_found(tmp_path: Path, offset: int, said: str, at: int) -> None:
    path = slot(tmp_path)
    verity.add(path)
    flip(path, offset)
    card = tmp_path / "card"
    card.write_bytes(bytes(at) + path.read_bytes() + bytes(MIB))
    found = verity.faults(card, at)
    assert found
    assert re.search(said, found), found


def test_a_file_system_without_a_tree_is_named(tmp_path: Path) -> None:
    assert verity.faults(slot(tmp_path)) == "'' behind the file system (valid: verity's parameters for 1024 blocks)"


@pytest.mark.parametrize(("blocks", "levels"), [(1, 1), (128, 1), (129, 3), (16384, 129), (16385, 132), (131072, 1033)])
def test_size_of_the_tree(blocks: int, levels: int) -> None:
    assert verity.tree_blocks(blocks) == levels


def test_whole_slot_leaves_room_for_its_tree() -> None:
    largest = layout.SLOT_BYTES - 5 * MIB
    assert verity.whole_bytes(largest) <= layout.SLOT_BYTES < verity.whole_bytes(largest + MIB)
