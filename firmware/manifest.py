# SPDX-License-Identifier: MIT
"""The manifest: what an engine built, and all that deploy, flash, the emulator and the tests know of it.

`build/<board>/<engine>/manifest.json`. Strict and frozen; hashes are SHA-256, sizes are bytes. `promises` is what the
running board must show; the acceptance suite takes its expectations from there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from firmware import layout, paths
from firmware.board import Strict
from firmware.errors import UserError

SCHEMA = 1
NAME = "manifest.json"
SLOTS = tuple(layout.SLOTS)
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class File(Strict):
    """A file beside the manifest."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]


class Content(Strict):
    """Something inside the files: its hash and size."""

    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]


class SourcePackage(Strict):
    """A source that was compiled, as Debian's archive signs it."""

    package: str
    version: str
    suite: str
    sha256: Sha256


class Promises(Strict):
    """What a board that runs the image shows."""

    fabric_id: int
    ring_blocks: int
    ring_block_bytes: int
    stream_port: int
    slots: list[str]
    units: list[str]


class Manifest(Strict):
    """One build: `version` is the slot's and changes with its content, `tree` is what git says of the checkout."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    board: str
    engine: str
    version: str
    tree: str
    files: dict[Literal["image", "bmap", "bundle", "sbom"], File]
    rootfs: Content
    kernel: str
    u_boot: str
    compatible: str
    sources: list[SourcePackage]
    inputs: dict[str, str]
    promises: Promises

    def path(self, name: Literal["image", "bmap", "bundle", "sbom"]) -> Path:
        """Where the file `name` is."""
        return folder(self.board, self.engine) / self.files[name].name

    def summary(self) -> str:
        """What was made and where, for a person."""
        lines = [f"{self.board} {self.version}, kernel {self.kernel}, U-Boot {self.u_boot}"]
        for file in self.files.values():
            lines.append(f"  {folder(self.board, self.engine) / file.name}  {file.bytes / (1 << 20):.1f} MiB")
        return "\n".join([*lines, f"  image SHA-256 {self.files['image'].sha256}"])

    def text(self) -> str:
        """The manifest as a JSON file."""
        return json.dumps(self.model_dump(by_alias=True), indent=2, sort_keys=True) + "\n"


def folder(board: str, engine: str) -> Path:
    """Where the results of `engine` for `board` are."""
    return paths.BUILD / board / engine


def load(path: Path) -> Manifest:
    """The manifest in the file `path`. Raises UserError: none there, or not one of ours."""
    if not path.is_file():
        raise UserError(f"no manifest {path} (valid: run ./inv build first)")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no valid JSON: {error} (valid: run ./inv build again)") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        seen = found.get("schema") if isinstance(found, dict) else type(found).__name__
        raise UserError(f"{path}: schema {seen!r} is not known (valid: {SCHEMA}; run ./inv build again)")
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()]
        raise UserError("\n".join([*lines, "(valid: run ./inv build again)"])) from error


def load_built(board: str, engine: str) -> Manifest:
    """Manifest of the last build of `engine` for `board`. Raises UserError: not built, or not whole."""
    path = folder(board, engine) / NAME
    if not path.is_file():
        command = f"./inv build --board={board} --engine={engine}"
        raise UserError(f"not built: there is no {path} (valid: first {command})")
    found = load(path)
    if (found.board, found.engine) != (board, engine):
        raise UserError(f"{path} is of board {found.board!r}, engine {found.engine!r} (valid: {board!r}, {engine!r})")
    for file in found.files.values():
        there = path.parent / file.name
        if not there.is_file() or there.stat().st_size != file.bytes:
            raise UserError(f"{there}: missing, or not of {file.bytes} bytes (valid: run ./inv build again)")
    return found
