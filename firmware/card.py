# SPDX-License-Identifier: MIT
"""Cards: a copy of the image that belongs to one board, with that board's identity on its `data` partition.

`create` makes a card for the emulator: a sparse file, grown to a power of two as QEMU's sd-card demands. `provision`
writes the identity into a card, be it a file or a block device: with debugfs(8) at the partition's offset, so that no
mount and, for a file, no root is needed. It is read back before the host key is pinned. The image is never touched.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firmware import identity, layout, tool
from firmware.errors import ToolError, UserError
from firmware.identity import Identity
from firmware.known_hosts import KnownHosts
from firmware.manifest import Manifest

# ext4 superblock: at byte 1024; magic at 0x38, volume name at 0x78 (Linux, Documentation/filesystems/ext4/super.rst)
_SUPER_OFFSET = 1024
_SUPER_BYTES = 1024
_MAGIC = (0x38, b"\x53\xef")
_LABEL = slice(0x78, 0x88)
_STAT = re.compile(r"Type: (\w+)\s+Mode:\s+(\d+).*?User:\s+(\d+)\s+Group:\s+(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """What a card is made from: the `board`, and the image's `version` and SHA-256."""

    board: str
    version: str
    image_sha256: str

    @classmethod
    def of(cls, manifest: Manifest) -> Origin:
        """What a card of the built image is made from."""
        return cls(manifest.board, manifest.version, manifest.files["image"].sha256)


@dataclass(frozen=True)
class Entry:
    """A file to be written: `path` on the data partition, its content and its mode; it belongs to root."""

    path: str
    content: bytes
    mode: int


def create(
    image: Path, card: Path, origin: Origin, minimum_bytes: int = 0, known: KnownHosts | None = None
) -> Identity:
    """Make the card file `card` from `image`, at least `minimum_bytes` large; an old `card` is replaced as a whole.

    Raises UserError when `image` is no image of this product, ToolError when it cannot be copied or written.
    """
    check_data_partition(image)
    card.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=card.parent, prefix=f".{card.name}.")
    os.close(descriptor)
    scratch = Path(name)
    try:
        tool.run(["cp", "--reflink=auto", "--sparse=always", "--", image, scratch])
        scratch.chmod(0o600)  # it holds the board's private key
        os.truncate(scratch, power_of_two(max(image.stat().st_size, minimum_bytes)))
        made = provision(scratch, origin, known)
        scratch.replace(card)
    finally:
        scratch.unlink(missing_ok=True)
    return made


def power_of_two(size: int) -> int:
    """Smallest power of two that is not below `size` bytes."""
    return 1 << (size - 1).bit_length()


def provision(path: Path, origin: Origin, known: KnownHosts | None = None, login: Sequence[str] = ()) -> Identity:
    """Give the card at `path` a new identity, and pin its host key under its host name.

    `login` are the public keys that may log in; without any, it is the user's key for boards. Raises UserError when
    there is no data partition, ToolError when what is read back differs from what was written.
    """
    check_data_partition(path)
    known = known or KnownHosts()
    made = identity.new(origin.board, known.keys())
    write(path, entries(made, origin, login or [identity.public_of(identity.user_key())]))
    known.pin(made.hostname, made.host_key.public)
    return made


def entries(made: Identity, origin: Origin, login: Sequence[str]) -> list[Entry]:
    """The files of an identity (docs/interfaces.md, "Identity, on `data`")."""
    card = {
        "board": origin.board,
        "image_sha256": origin.image_sha256,
        "version": origin.version,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    ssh = "/identity/ssh"
    return [
        Entry("/identity/identity.env", made.environment().encode(), 0o644),
        Entry("/identity/card.json", (json.dumps(card, indent=2) + "\n").encode(), 0o644),
        Entry(f"{ssh}/ssh_host_ed25519_key", made.host_key.private.encode(), 0o600),
        Entry(f"{ssh}/ssh_host_ed25519_key.pub", f"{made.host_key.public} {made.hostname}\n".encode(), 0o644),
        Entry(f"{ssh}/authorized_keys", "".join(f"{key}\n" for key in login).encode(), 0o644),
    ]


def check_data_partition(path: Path) -> None:
    """Raise UserError unless an ext4 file system with the label of the data partition is where the layout has it."""
    if not path.exists():
        raise UserError(f"no image {path} (valid: one made by ./inv build)")
    with path.open("rb") as stream:
        stream.seek(layout.DATA.offset + _SUPER_OFFSET)
        super_block = stream.read(_SUPER_BYTES)
    at, magic = _MAGIC
    label = super_block[_LABEL].rstrip(b"\0").decode(errors="replace")
    if super_block[at : at + len(magic)] != magic or label != layout.DATA.name:
        raise UserError(
            f"{path}: no data partition at byte {layout.DATA.offset} "
            f"(valid: an image with an ext4 file system labelled {layout.DATA.name!r} there, made by ./inv build)"
        )


def write(path: Path, files: Sequence[Entry]) -> None:
    """Write `files` into the data partition of the card at `path` and read them back. Raises ToolError."""
    with tempfile.TemporaryDirectory(prefix="cyclone-capture-") as name:  # mode 0700
        folder = Path(name)
        for number, entry in enumerate(files):
            (folder / f"in{number}").write_bytes(entry.content)
        _debugfs(path, folder, write_commands(files), writable=True)
        said = _debugfs(path, folder, read_commands(files))
        seen = _STAT.findall(said)
        for number, entry in enumerate(files):
            out = folder / f"out{number}"
            same = out.exists() and out.read_bytes() == entry.content
            if not same or len(seen) != len(files) or seen[number] != ("regular", f"{entry.mode:04o}", "0", "0"):
                raise ToolError(["debugfs", str(path)], 0, said, f"{entry.path} was not written as it should be")


def write_commands(files: Sequence[Entry]) -> list[str]:
    """debugfs commands that write the files in0, in1, ... of the current folder."""
    folders = sorted({str(parent) for entry in files for parent in Path(entry.path).parents} - {"/"})
    commands = []
    for folder in folders:
        commands += [f"mkdir {folder}", f"set_inode_field {folder} mode 040755"]
    for number, entry in enumerate(files):
        commands += [f"rm {entry.path}", f"write in{number} {entry.path}"]
        commands += [f"set_inode_field {entry.path} mode 0100{entry.mode:03o}"]
        commands += [f"set_inode_field {entry.path} {field} 0" for field in ("uid", "gid")]
    return commands


def read_commands(files: Sequence[Entry]) -> list[str]:
    """debugfs commands that copy the files to out0, out1, ... of the current folder and show their inodes."""
    commands = []
    for number, entry in enumerate(files):
        commands += [f"dump {entry.path} out{number}", f"stat {entry.path}"]
    return commands


def _debugfs(path: Path, folder: Path, commands: Sequence[str], writable: bool = False) -> str:
    # debugfs ends with 0 even when a command failed, e.g. a mkdir of what is there: hence the reading back
    (folder / "commands").write_text("".join(f"{command}\n" for command in commands))
    device = f"{path.resolve()}?offset={layout.DATA.offset}"
    flags = ["-w"] if writable else []
    return tool.capture([tool.need("debugfs", "e2fsprogs"), *flags, "-f", "commands", device], cwd=folder)
