# SPDX-License-Identifier: MIT
"""dm-verity for a slot: behind its file system, what the kernel checks every block of it against when it reads it.

    | ext4, N blocks | parameters, 1 block | hash tree, from block N + 1 | zeros, to a whole MiB |

All of it is one file, `rootfs.ext4`, which the card's image and the bundle carry as it is. The parameters are two lines
that U-Boot's boot script imports from block N, which it has from the superblock (`templates/boot/environment.txt.j2`):

    verity_sectors=<sectors of the device>
    verity_table=4096 4096 <N> <N + 1> sha256 <root hash> <salt>

They are the end of a table of the kernel's (Documentation/admin-guide/device-mapper/verity.rst). The file /boot/verity
says that there is a tree: behind a file system without it stands what the slot's earlier version had there. The salt
is the file system's UUID: the same content gives the same tree. `veritysetup` makes and verifies the tree, without its
own superblock and without root rights. No key signs the root hash: it finds damage, not an attacker who can write.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from firmware import layout, tool
from firmware.errors import ToolError, UserError

MARK = layout.VERITY_MARK
MARK_TEXT = "Behind this file system stands its hash tree, see docs/interfaces.md\n"
BLOCK_BYTES = 4096
HASH_BYTES = 32
FAN_OUT = BLOCK_BYTES // HASH_BYTES
_SUPERBLOCK, _MAGIC = 1024, 0xEF53
_ROOT_HASH = re.compile(r"^Root hash:\s+([0-9a-f]{64})$", re.MULTILINE)
_TABLE = re.compile(rf"{BLOCK_BYTES} {BLOCK_BYTES} (\d+) (\d+) sha256 ([0-9a-f]{{64}}) ([0-9a-f]{{32}})")


@dataclass(frozen=True)
class Tree:
    """The hash tree of a file system of `blocks` blocks."""

    blocks: int
    salt: str
    root_hash: str = ""

    @property
    def start(self) -> int:
        """Block in which the tree begins."""
        return self.blocks + 1

    @property
    def parameters(self) -> str:
        """What U-Boot imports."""
        table = f"{BLOCK_BYTES} {BLOCK_BYTES} {self.blocks} {self.start} sha256 {self.root_hash} {self.salt}"
        return f"verity_sectors={self.blocks * BLOCK_BYTES // layout.SECTOR_BYTES}\nverity_table={table}\n"


def tree_blocks(blocks: int) -> int:
    """Blocks of the tree over `blocks` blocks, all of its levels."""
    total = 0
    while blocks > 1:
        blocks = -(-blocks // FAN_OUT)
        total += blocks
    return max(total, 1)


def whole_bytes(fs_bytes: int) -> int:
    """Size of the file for a file system of `fs_bytes` bytes."""
    blocks = fs_bytes // BLOCK_BYTES
    return -(-(blocks + 1 + tree_blocks(blocks)) * BLOCK_BYTES // layout.MIB) * layout.MIB


def _file_system(image: Path, offset: int) -> Tree:
    """Blocks and salt of the file system at `offset`. Raises UserError: there is none of whole blocks."""
    with image.open("rb") as stream:
        stream.seek(offset + _SUPERBLOCK)
        superblock = stream.read(1024)
    if len(superblock) < 1024 or int.from_bytes(superblock[56:58], "little") != _MAGIC:
        raise UserError(f"{image} holds no ext4 file system at {offset:#x}")
    if (size := 1024 << int.from_bytes(superblock[24:28], "little")) != BLOCK_BYTES:
        raise UserError(f"{image} has blocks of {size} bytes (valid: {BLOCK_BYTES})")
    return Tree(int.from_bytes(superblock[4:8], "little"), superblock[104:120].hex())


def _argv(command: str, tree: Tree, image: Path) -> list[str | Path]:
    return [
        *(tool.need("veritysetup", "cryptsetup-bin"), command, "--no-superblock", "--hash=sha256"),
        *(f"--data-block-size={BLOCK_BYTES}", f"--hash-block-size={BLOCK_BYTES}", f"--data-blocks={tree.blocks}"),
        *(f"--hash-offset={tree.start * BLOCK_BYTES}", f"--salt={tree.salt}", image, image),
    ]


def add(image: Path) -> Tree:
    """Put the tree behind the file system in `image`, anew if there is one. Raises UserError, ToolError."""
    bare = _file_system(image, 0)
    with image.open("r+b") as stream:
        stream.truncate(bare.blocks * BLOCK_BYTES)
        stream.truncate(whole_bytes(bare.blocks * BLOCK_BYTES))
    argv = _argv("format", bare, image)
    said = tool.capture(argv)
    if (found := _ROOT_HASH.search(said)) is None:
        raise ToolError([str(part) for part in argv], 0, said, "veritysetup names no root hash")
    made = Tree(bare.blocks, bare.salt, found[1])
    with image.open("r+b") as stream:
        stream.seek(made.blocks * BLOCK_BYTES)
        stream.write(made.parameters.encode())
    return made


def read(image: Path, offset: int = 0) -> Tree:
    """What the parameters behind the file system at `offset` say. Raises UserError: nothing that can be used."""
    bare = _file_system(image, offset)
    with image.open("rb") as stream:
        stream.seek(offset + bare.blocks * BLOCK_BYTES)
        text = stream.read(BLOCK_BYTES).rstrip(b"\0").decode("ascii", "replace")
    table = _TABLE.search(text)
    made = Tree(bare.blocks, table[4], table[3]) if table else bare
    if text != made.parameters:
        raise UserError(f"{text[:200]!r} behind the file system (valid: verity's parameters for {bare.blocks} blocks)")
    return made


def faults(image: Path, offset: int = 0) -> str:
    """What is wrong with the tree of the file system at `offset`, or an empty text."""
    try:
        tree = read(image, offset)
    except UserError as error:
        return str(error)
    with tempfile.TemporaryDirectory(prefix="verity-") as name:
        slot = image
        if offset:  # veritysetup takes no offset for the data
            slot = Path(name) / "slot"
            _cut_out(image, offset, whole_bytes(tree.blocks * BLOCK_BYTES), slot)
        try:
            tool.capture([*_argv("verify", tree, slot), tree.root_hash])
        except ToolError as error:
            said = error.tail.strip().splitlines()[-1:] or [f"status {error.status}"]
            return f"veritysetup: {said[0]} (valid: a tree that agrees with every block)"
    return ""


def _cut_out(image: Path, offset: int, size: int, to: Path) -> None:
    with image.open("rb") as source, to.open("wb") as target:
        source.seek(offset)
        target.truncate(size)
        for at in range(0, size, layout.MIB):
            if any(data := source.read(min(layout.MIB, size - at))):  # zeros stay a hole
                target.seek(at)
                target.write(data)
