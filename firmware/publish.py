# SPDX-License-Identifier: MIT
"""Put the results of the stages where people look for them: `build/<board>/<engine>/`, the manifest last.

Files are copied (blocks shared and holes kept where the file system can), never linked: what a tool does to a file in
`build/` cannot harm the cache. A file that is there already, as it was put there, is left alone; a new one takes its
name when it is whole, so that another program reads the old or the new one. Two builds at once wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from firmware import tool
from firmware.board import Board
from firmware.manifest import NAME, SCHEMA, Content, File, Manifest, Promises, SourcePackage, folder

STAMPS = ".published.json"
Role = Literal["image", "bmap", "bundle", "sbom"]


@dataclass(frozen=True)
class Draft:
    """The manifest but for board, engine and files."""

    version: str
    tree: str
    rootfs: Content
    kernel: str
    u_boot: str
    compatible: str
    sources: list[SourcePackage]
    inputs: dict[str, str]
    promises: Promises


def results(board: Board, steps: dict[str, Path]) -> dict[Role, Path]:
    """The files to publish, in the cache."""
    name = board.name
    return {
        "image": steps["image"] / f"{name}.img",
        "bmap": steps["image"] / f"{name}.img.bmap",
        "bundle": steps["bundle"] / f"{name}.raucb",
        "sbom": steps["sbom"] / f"{name}.spdx.json",
    }


def publish(board: Board, engine: str, steps: dict[str, Path], draft: Draft) -> Manifest:
    """Copy what is not there yet, and write the manifest."""
    place = folder(board.name, engine)
    place.mkdir(parents=True, exist_ok=True)
    files = results(board, steps)
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "board": board.name,
        "engine": engine,
        "files": {role: describe(path) for role, path in files.items()},
        **vars(draft),
    }
    made = Manifest.model_validate(facts)
    with (place / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _place(place, list(files.values()), made)
    return made


def _place(place: Path, files: list[Path], made: Manifest) -> None:
    stamps = read_stamps(place / STAMPS)
    stale = [path for path in files if not is_copy(path, place / path.name, stamps)]
    if stale:
        (place / NAME).unlink(missing_ok=True)
        for path in stale:
            partial = place / f".{path.name}"
            tool.capture(["cp", "--reflink=auto", "--sparse=always", "--remove-destination", "-T", path, partial])
            partial.chmod(0o644)
            partial.rename(place / path.name)
        (place / STAMPS).write_text(json.dumps({p.name: stamp(p, place / p.name) for p in files}, indent=1))
    if not (place / NAME).is_file() or (place / NAME).read_text() != made.text():
        partial = place / f".{NAME}"
        partial.write_text(made.text())
        partial.rename(place / NAME)


def describe(path: Path) -> File:
    """Name, hash and size of a file of a stage; the hash of a large one stands beside it, in `sha256`."""
    known = path.parent / "sha256"
    if known.is_file() and path.suffix in (".img", ".raucb"):
        digest = known.read_text().strip()
    else:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return File(name=path.name, sha256=digest, bytes=path.stat().st_size)


def stamp(source: Path, copy: Path) -> list[Any] | None:
    """What tells whether `copy` is still the copy of `source`; None when it is missing."""
    if not copy.is_file():
        return None
    facts = copy.stat()
    return [f"{source.parent.parent.name}/{source.parent.name}", facts.st_size, facts.st_mtime_ns]


def is_copy(source: Path, copy: Path, stamps: dict[str, list[Any]]) -> bool:
    """Whether `copy` is there, made of `source` and untouched since."""
    now = stamp(source, copy)
    return now is not None and stamps.get(source.name) == now


def read_stamps(path: Path) -> dict[str, list[Any]]:
    """Stamps of the last time; empty when there was none."""
    try:
        found: dict[str, list[Any]] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found
