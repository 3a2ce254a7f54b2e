# SPDX-License-Identifier: MIT
"""The bundle: a slot's file system, signed, as `rauc bundle` makes it (verity format, block-hash index for streaming).

A bundle is not the same bit for bit when made twice (the verity salt and the signature are random); what it carries,
`rootfs.ext4`, is. `variant` makes the bundles that the acceptance tests need: another version, a broken health check,
another board's, one by a foreign signer, and one without a signature.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from firmware import ext4, paths, tool
from firmware.board import Board
from firmware.errors import ToolError
from firmware.keys import Keys
from firmware.stage import Stage
from firmware.tree import Tree

RELEASE = "/usr/share/cyclone-capture/release.json"
SIZE_BYTES = 8  # a bundle ends with the size of its signature, big-endian
COMPRESSION = "-comp zstd -Xcompression-level 6"


@dataclass(frozen=True)
class Inputs:
    """What a bundle is made of: `rootfs` is the file, `epoch` the time of everything in it."""

    board: Board
    rootfs: Path
    version: str
    epoch: int
    keys: Keys


def compatible(board: Board) -> str:
    """RAUC's name for "boards that may take this": also in the slot's `system.conf`."""
    return f"cyclone-capture-{board.name}"


def manifest_text(board: Board, version: str, for_boards: str = "") -> str:
    """RAUC's manifest of a bundle; `for_boards` replaces the board's own compatible."""
    return (
        "[update]\n"
        f"compatible={for_boards or compatible(board)}\n"
        f"version={version}\n"
        f"description={board.title}\n\n"
        "[bundle]\n"
        "format=verity\n\n"
        "[image.rootfs]\n"
        "filename=rootfs.ext4\n"
        "adaptive=block-hash-index\n"
    )


def pack(rootfs: Path, manifest: str, keys: Keys, out: Path, log: Path) -> None:
    """Make and verify one bundle. Raises ToolError."""
    rauc = tool.need("rauc", "rauc")
    out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=out.parent) as name:
        content = Path(name)
        (content / "manifest.raucm").write_text(manifest)
        try:
            (content / "rootfs.ext4").hardlink_to(rootfs)
        except OSError:  # another file system
            shutil.copyfile(rootfs, content / "rootfs.ext4")
        trust = [f"--cert={keys.certificate}", f"--key={keys.key}", f"--keyring={keys.authority}"]
        tool.run([rauc, "bundle", *trust, f"--mksquashfs-args={COMPRESSION}", content, out], log=log)
    tool.run([rauc, "info", f"--keyring={keys.authority}", out], log=log)


def build(inputs: Inputs, rootfs_key: str) -> Path:
    """Result folder: `<board>.raucb` and `sha256`. `rootfs_key` is the key of the stage that made `inputs.rootfs`."""
    text = manifest_text(inputs.board, inputs.version)
    stage = Stage(
        "bundle",
        texts={"manifest": text, "rootfs": rootfs_key, "signer": inputs.keys.certificate.read_text()},
        files=(paths.ROOT / "firmware" / "bundle.py",),
    )

    def work(folder: Path) -> None:
        out = folder / f"{inputs.board.name}.raucb"
        pack(inputs.rootfs, text, inputs.keys, out, folder / "log")
        with out.open("rb") as stream:
            (folder / "sha256").write_text(hashlib.file_digest(stream, "sha256").hexdigest() + "\n")
        out.chmod(0o444)

    return stage.make(work)


def read_release(rootfs: Path) -> dict[str, object]:
    """`release.json` of a slot's file system."""
    facts: dict[str, object] = json.loads(ext4.read(rootfs, RELEASE))
    return facts


def variant(
    inputs: Inputs,
    folder: Path,
    edits: Tree | None = None,
    version: str = "",
    for_boards: str = "",
    keys: Keys | None = None,
) -> Path:
    """A bundle that differs from the real one, `<folder>/<version>.raucb`; nothing of the real one is touched.

    `edits` holds files that are added or replaced in the slot, `version` (if it differs) is also written into its
    release file, `for_boards` is another compatible, `keys` another signer. Raises ToolError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = version or inputs.version
    slot = Tree(inputs.epoch) if edits is None else edits
    if version != inputs.version:
        facts = {**read_release(inputs.rootfs), "version": version}
        slot.file(RELEASE, json.dumps(facts, indent=2) + "\n")
    with tempfile.TemporaryDirectory(prefix="variant-", dir=folder) as name:
        scratch = Path(name)
        rootfs = scratch / "rootfs.ext4"
        copy_sparse(inputs.rootfs, rootfs)
        rootfs.chmod(0o644)
        ext4.edit(rootfs, slot, scratch)
        out = folder / f"{version}.raucb"
        pack(rootfs, manifest_text(inputs.board, version, for_boards), keys or inputs.keys, out, folder / "log")
    return out


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file, holes kept, sharing blocks where the file system can."""
    tool.capture(["cp", "--reflink=auto", "--sparse=always", source, target])


def strip_signature(bundle: Path, out: Path) -> Path:
    """A copy of `bundle` whose signature is gone. Raises ToolError: it is no bundle."""
    size = bundle.stat().st_size
    with bundle.open("rb") as stream:
        stream.seek(size - SIZE_BYTES)
        signature = int.from_bytes(stream.read(SIZE_BYTES), "big")
        if not 0 < signature < size - SIZE_BYTES:
            raise ToolError(["rauc"], 0, f"{bundle} does not end with a signature")
        shutil.copyfile(bundle, out)
    out.chmod(0o644)
    with out.open("r+b") as stream:
        stream.truncate(size - SIZE_BYTES - signature)
        stream.seek(0, 2)
        stream.write(bytes(SIZE_BYTES))
    return out
