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

from firmware import ext4, fit, inspection, paths, signing, tool, verity
from firmware.board import Board
from firmware.errors import ToolError
from firmware.signing import Signer
from firmware.stage import Stage
from firmware.tree import Tree

SIZE_BYTES = 8  # a bundle ends with the size of its signature, big-endian
CODE = ("bundle", "file_system", "fit", "flat_tree", "signing")
COMPRESSION = "-comp zstd -Xcompression-level 6"


@dataclass(frozen=True)
class Inputs:
    """What a bundle is made of: `rootfs` is the file, `epoch` the time of everything in it, `signer` who signs."""

    board: Board
    rootfs: Path
    version: str
    epoch: int
    signer: Signer


def compatible(board: Board) -> str:
    """RAUC's name for "boards that may take this": also in the slot's `system.conf`."""
    return fit.compatible_name(board.name)


def manifest_text(board: Board, version: str, for_boards: str = "", form: str = "verity") -> str:
    """RAUC's manifest of a bundle of format `form`; `for_boards` replaces the board's own compatible."""
    return (
        "[update]\n"
        f"compatible={for_boards or compatible(board)}\n"
        f"version={version}\n"
        f"description={board.title}\n\n"
        "[bundle]\n"
        f"format={form}\n\n"
        "[image.rootfs]\n"
        "filename=rootfs.ext4\n"
        "adaptive=block-hash-index\n"
    )


def pack(rootfs: Path, manifest: str, signer: Signer, out: Path, log: Path, downgrade: bool = False) -> None:
    """Make and verify one bundle; `downgrade`: boards with a newer version may take it. Raises ToolError."""
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=out.parent) as name:
        content = Path(name)
        (content / "manifest.raucm").write_text(manifest)
        try:
            (content / "rootfs.ext4").hardlink_to(rootfs)
        except OSError:  # another file system
            shutil.copyfile(rootfs, content / "rootfs.ext4")
        if downgrade:
            (content / inspection.DOWNGRADE).touch()  # in the bundle, so the signature covers it
        signing.bundle(signer, content, out, COMPRESSION, log)


def build(inputs: Inputs, rootfs_key: str, downgrade: bool = False) -> Path:
    """Result folder: `<board>.raucb` and `sha256`. `rootfs_key` is the key of the stage that made `inputs.rootfs`.

    Raises UserError when the parts of the slot do not fit each other.
    """
    text = manifest_text(inputs.board, inputs.version, form=inputs.signer.format)
    stage = Stage(
        "bundle",
        texts={"manifest": text, "rootfs": rootfs_key, "signer": inputs.signer.identity, "downgrade": str(downgrade)},
        files=tuple(paths.ROOT / "firmware" / f"{name}.py" for name in CODE),
    )

    def work(folder: Path) -> None:
        out = folder / f"{inputs.board.name}.raucb"
        fit.require(inputs.rootfs, compatible(inputs.board))
        pack(inputs.rootfs, text, inputs.signer, out, folder / "log", downgrade)
        with out.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        (folder / "sha256").write_text(sha256 + "\n")
        inspection.inspect_once(
            out, inputs.signer.authority.read_text(encoding="utf-8"), sha256
        )  # before it is offered
        out.chmod(0o444)

    return stage.make(work)


def read_release(rootfs: Path) -> dict[str, object]:
    """`release.json` of a slot's file system."""
    facts: dict[str, object] = json.loads(ext4.read(rootfs, fit.RELEASE))
    return facts


def variant(
    inputs: Inputs,
    folder: Path,
    edits: Tree | None = None,
    version: str = "",
    for_boards: str = "",
    signer: Signer | None = None,
    downgrade: bool = False,
) -> Path:
    """A bundle that differs from the real one, `<folder>/<version>.raucb`; nothing of the real one is touched.

    `edits` holds files that are added or replaced in the slot, `version` (if it differs) is also written into its
    release file, `for_boards` is another compatible, `signer` another one, `downgrade` as in `pack`. Raises ToolError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = version or inputs.version
    slot = Tree(inputs.epoch) if edits is None else edits
    if version != inputs.version:
        facts = {**read_release(inputs.rootfs), "version": version}
        slot.file(fit.RELEASE, json.dumps(facts, indent=2) + "\n")
    with tempfile.TemporaryDirectory(prefix="variant-", dir=folder) as name:
        scratch = Path(name)
        rootfs = scratch / "rootfs.ext4"
        copy_sparse(inputs.rootfs, rootfs)
        rootfs.chmod(0o644)
        ext4.edit(rootfs, slot, scratch)
        verity.add(rootfs)
        out = folder / f"{version}.raucb"
        by = signer or inputs.signer
        pack(rootfs, manifest_text(inputs.board, version, for_boards, by.format), by, out, folder / "log", downgrade)
    return out


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file, holes kept, sharing blocks where the file system can."""
    tool.capture(["cp", "--reflink=auto", "--sparse=always", source, target])


def read_signature(bundle: Path) -> bytes:
    """The CMS signature (DER) that a bundle ends with, its size behind it. Raises ToolError: it is no bundle."""
    size = bundle.stat().st_size
    with bundle.open("rb") as stream:
        stream.seek(max(0, size - SIZE_BYTES))
        signature = int.from_bytes(stream.read(SIZE_BYTES), "big")
        if not 0 < signature < size - SIZE_BYTES:
            raise ToolError(["rauc"], 0, f"{bundle} does not end with a signature")
        stream.seek(size - SIZE_BYTES - signature)
        return stream.read(signature)


def strip_signature(bundle: Path, out: Path) -> Path:
    """A copy of `bundle` whose signature is gone. Raises ToolError: it is no bundle."""
    signature = len(read_signature(bundle))
    shutil.copyfile(bundle, out)
    out.chmod(0o644)
    with out.open("r+b") as stream:
        stream.truncate(bundle.stat().st_size - SIZE_BYTES - signature)
        stream.seek(0, 2)
        stream.write(bytes(SIZE_BYTES))
    return out
