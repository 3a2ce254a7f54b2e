# SPDX-License-Identifier: MIT
"""Write a `Tree` into an ext4 file system image, bit for bit the same each time, without root and without mounting.

`mke2fs -d` of e2fsprogs 1.47.0 takes a folder's files in the order in which the host's file system returns them, and
owners from the host. So the file system is made empty (fixed UUID and hash seed) and filled by one `debugfs` script in
sorted order, owners and modes from the tree; `E2FSPROGS_FAKE_TIME` makes every time stamp that libext2fs writes the
tree's epoch. `debugfs` always exits with 0: its output is read, anything but an echo of a command is an error, and
`e2fsck -n` must find nothing.

The feature set is what U-Boot 2023.01's ext4 driver reads: extents and 256-byte inodes, no 64bit, no metadata_csum.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from pathlib import Path, PurePosixPath

from firmware import tool
from firmware.errors import ToolError, UserError
from firmware.tree import Entry, Tree

BLOCK_BYTES = 4096
SLOT_FEATURES = "none,dir_index,dir_nlink,ext_attr,extent,extra_isize,filetype,flex_bg,large_file,sparse_super"
DATA_FEATURES = SLOT_FEATURES + ",has_journal,resize_inode"
TYPE_BITS = {"file": 0o100000, "folder": 0o040000, "link": 0o120000}
ECHO = re.compile(r"^(debugfs(?: \d.*|: .*)|Allocated inode: \d+|)$")


def identifier(seed: str) -> str:
    """A UUID that depends on `seed` only."""
    return str(uuid.UUID(bytes=hashlib.sha256(seed.encode()).digest()[:16], version=4))


def format_command(image: Path, size: int, label: str, seed: str, features: str, inodes: int) -> list[str]:
    """`mke2fs` command for an empty file system of `size` bytes whose identifiers come from `seed`."""
    return [
        *(tool.need("mke2fs", "e2fsprogs"), "-q", "-F", "-t", "ext4", "-b", str(BLOCK_BYTES), "-I", "256"),
        *("-N", str(inodes), "-m", "0", "-L", label, "-U", identifier(f"fs {seed}"), "-O", features),
        *("-E", f"hash_seed={identifier(f'hash {seed}')},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"),
        *(str(image), f"{size // 1024}k"),
    ]


def quoted(text: str) -> str:
    """`text` as one word of a debugfs script. Raises UserError: it has a character that the script cannot carry."""
    if any(ord(c) < 32 for c in text):
        raise UserError(f"{text!r}: a name in a slot has no control characters")
    return '"' + text.replace('"', '""') + '"'


def script(tree: Tree, scratch: Path, existing: frozenset[str] = frozenset({"/"})) -> list[str]:
    """`debugfs` commands that write `tree`; byte contents are put into files of `scratch` first.

    Paths in `existing` are there already: a folder is kept, a file or link is replaced.
    """
    commands: list[str] = []
    where = ""
    for number, (path, entry) in enumerate(tree.items()):
        parent, name = str(PurePosixPath(path).parent), quoted(PurePosixPath(path).name)
        if entry.kind != "folder" or path not in existing:
            if parent != where:
                commands.append(f"cd {quoted(parent)}")
                where = parent
            if path in existing:
                commands.append(f"rm {name}")
            commands.append(_create(entry, name, scratch / f"content-{number}"))
        if entry.kind != "folder" or path not in existing:
            commands += [f"sif {quoted(path)} {field}" for field in _fields(entry, tree.epoch)]
    return commands


def _create(entry: Entry, name: str, place: Path) -> str:
    if entry.kind == "folder":
        return f"mkdir {name}"
    if entry.kind == "link":
        return f"symlink {name} {quoted(entry.target)}"
    if isinstance(entry.content, bytes):
        place.write_bytes(entry.content)
        return f"write {quoted(str(place))} {name}"
    return f"write {quoted(str(entry.content))} {name}"


def _fields(entry: Entry, epoch: int) -> list[str]:
    fields = [f"mode 0{TYPE_BITS[entry.kind] | entry.mode:o}"]
    fields += [f"{name} {value}" for name, value in (("uid", entry.uid), ("gid", entry.gid)) if value]
    if entry.mtime != epoch:
        fields.append(f"mtime @{entry.mtime}")
    return fields


def run_script(image: Path, commands: list[str], epoch: int, scratch: Path) -> None:
    """Run debugfs commands on `image`. Raises ToolError with debugfs's complaint: it never fails by exit status."""
    batch = scratch / "debugfs-commands"
    batch.write_text("\n".join(commands) + "\n")
    argv = [tool.need("debugfs", "e2fsprogs"), "-w", "-f", str(batch), str(image)]
    output = scratch / "debugfs.log"
    output.unlink(missing_ok=True)
    tool.run(argv, log=output, environment=clock(epoch))
    bad = [line for line in output.read_text(errors="replace").splitlines() if not ECHO.match(line)]
    if bad:
        raise ToolError(argv, 0, "\n".join(bad[:20]), "debugfs complained")


def clock(epoch: int) -> dict[str, str]:
    """Environment that makes e2fsprogs stamp everything with `epoch`."""
    return {"E2FSPROGS_FAKE_TIME": str(epoch), "SOURCE_DATE_EPOCH": str(epoch), "MKE2FS_CONFIG": os.devnull}


def check(image: Path) -> None:
    """Raises ToolError when `e2fsck` finds anything to repair."""
    tool.capture([tool.need("e2fsck", "e2fsprogs"), "-f", "-n", image])


def wanted_bytes(tree: Tree, margin: int) -> int:
    """Size for a file system that holds `tree` and has `margin` bytes to spare, rounded up to MiB."""
    blocks = sum(-(-max(e.size, 1) // BLOCK_BYTES) + 1 for _, e in tree.items())
    total = blocks * BLOCK_BYTES * 102 // 100 + margin
    return -(-total // (1 << 20)) << 20


def make(
    tree: Tree, image: Path, size: int, label: str, seed: str, scratch: Path, features: str = SLOT_FEATURES
) -> None:
    """Write `tree` as an ext4 image of `size` bytes. Raises ToolError: no room, or a tool failed."""
    entries = sum(1 for _ in tree.items())
    inodes = -(-(entries * 5 // 4 + 64) // 256) * 256
    image.unlink(missing_ok=True)
    tool.run(format_command(image, size, label, seed, features, inodes), environment=clock(tree.epoch))
    run_script(image, script(tree, scratch, frozenset({"/", "/lost+found"})), tree.epoch, scratch)
    check(image)


def read(image: Path, path: str) -> str:
    """Text of the file at `path` in an image. Raises ToolError when it is not there."""
    argv = [tool.need("debugfs", "e2fsprogs"), "-R", f"cat {quoted(path)}", str(image)]
    text = tool.capture(argv)
    if not text:
        raise ToolError(argv, 0, f"{path} is not in {image}, or empty")
    return text


def exists(image: Path, path: str) -> bool:
    """Whether `path` is in an image."""
    return "Inode:" in tool.capture([tool.need("debugfs", "e2fsprogs"), "-R", f"stat {quoted(path)}", str(image)])


def edit(image: Path, changes: Tree, scratch: Path) -> None:
    """Add or replace what `changes` holds in an existing image. Raises ToolError: no room, or a tool failed."""
    there = frozenset(path for path, _ in changes.items() if exists(image, path))
    run_script(image, script(changes, scratch, there), changes.epoch, scratch)
    check(image)
