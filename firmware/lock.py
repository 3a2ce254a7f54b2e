# SPDX-License-Identifier: MIT
"""The lock: at which commit each upstream layer of the Yocto engine is used.

`layers/upstream.yml` names layers and branches, `layers/upstream.lock.yml` the commit of each; both are kas files, and
kas reads the second by itself. `./inv lock` shows them, `./inv lock --update` asks each repository for the newest
commit of its branch, shows what moves with the subjects of its commits, and writes the lock.

Repositories are found where kas finds them: `KAS_PREMIRRORS`, or the mirror that `OE_MIRRORS` names.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from firmware import paths, tool
from firmware.errors import ToolError, UserError

UPSTREAM = "upstream.yml"
LOCK = "upstream.lock.yml"
HEADER = """\
# yaml-language-server: $schema=https://raw.githubusercontent.com/siemens/kas/5.5/kas/schema-kas.json
# SPDX-License-Identifier: MIT
# Written by ./inv lock --update: the commit of each layer of upstream.yml.
header:
  version: 14

overrides:
  repos:
"""
SHOWN = 200  # commits that are looked through between the locked and the newest one
MIRRORS = "OE_MIRRORS"  # folder of a mirror, as ./inv mirror fills it


@dataclass(frozen=True)
class Layer:
    """A repository of upstream layers at one commit."""

    name: str
    url: str
    branch: str
    commit: str


@dataclass(frozen=True)
class Move:
    """A layer whose branch has a newer commit; `subjects` of the commits between, newest first."""

    layer: Layer
    to: str
    subjects: tuple[str, ...]


def layers(folder: Path = paths.ROOT / "layers") -> list[Layer]:
    """The upstream layers. Raises UserError: a broken file, a layer without a commit, a commit that is none."""
    upstream, locked = _load(folder / UPSTREAM), _load(folder / LOCK)
    repos = upstream.get("repos") or {}
    commits = (locked.get("overrides") or {}).get("repos") or {}
    if unknown := sorted({*commits} - {*repos}):
        raise UserError(f"{folder / LOCK}: {', '.join(unknown)}: no such layer (valid: {', '.join(repos)})")
    found = []
    for name, repo in repos.items():
        commit = (commits.get(name) or {}).get("commit")
        if not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{40}", commit):
            raise UserError(
                f"{folder / LOCK}: {name}: commit {commit!r} is none (valid: 40 hexadecimal digits; "
                "./inv lock --update writes them)"
            )
        found.append(Layer(name, repo["url"], repo["branch"], commit))
    return found


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no {path} (valid: the file as committed; ./inv lock --update writes the lock)") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: a kas file is a mapping, this is {type(content).__name__}")
    return content


def premirrors() -> str:
    """kas's `KAS_PREMIRRORS` (lines "pattern replacement"): the user's, else from the mirror, else empty."""
    if given := os.environ.get("KAS_PREMIRRORS"):
        return given
    mirror = os.environ.get(MIRRORS)
    return rf"https?://[^/]+/(.*) {Path(mirror).resolve()}/\1" if mirror else ""


def place(url: str) -> str:
    """Where the repository at `url` is taken from. Raises UserError: a line of KAS_PREMIRRORS that is none."""
    for line in premirrors().splitlines():
        words = line.split()
        if len(words) != 2:
            raise UserError(f"KAS_PREMIRRORS: {line!r} (valid: lines of a pattern and its replacement)")
        if re.match(words[0], url):
            return re.sub(words[0], words[1], url)
    return url


def newest(layer: Layer) -> str:
    """The newest commit of the layer's branch. Raises ToolError (not reached), UserError (no such branch)."""
    said = tool.capture(["git", "-c", "safe.directory=*", "ls-remote", place(layer.url), f"refs/heads/{layer.branch}"])
    if not said:
        raise UserError(
            f"{UPSTREAM}: {layer.name}: {layer.url} has no branch {layer.branch!r} (valid: one that it has)"
        )
    return said.split()[0]


def subjects(layer: Layer, to: str) -> tuple[str, ...]:
    """Subjects of the commits from the locked one to `to`, newest first; ends with "..." when there are too many."""
    with tempfile.TemporaryDirectory(prefix="lock-") as scratch:
        git = ["git", "-c", "safe.directory=*", "-C", scratch]
        tool.capture([*git, "init", "--quiet", "--bare"])
        wanted = ["--filter=tree:0", f"--depth={SHOWN}", place(layer.url), layer.branch]
        tool.capture([*git, "fetch", "--quiet", *wanted])
        try:
            said = tool.capture([*git, "log", "--format=%h %s", f"{layer.commit}..{to}"])
        except ToolError:  # the locked commit is not among the fetched ones
            said = tool.capture([*git, "log", "--format=%h %s", to]) + "...\n"
    return tuple(said.splitlines())


def moves(known: Iterable[Layer]) -> list[Move]:
    """What an update would move."""
    found = [(layer, newest(layer)) for layer in known]
    return [Move(layer, to, subjects(layer, to)) for layer, to in found if to != layer.commit]


def write(known: Iterable[Layer], folder: Path = paths.ROOT / "layers") -> None:
    """Write the lock, whole or not at all."""
    text = HEADER + "".join(f"    {layer.name}:\n      commit: {layer.commit}\n" for layer in known)
    partial = folder / f".{LOCK}"
    partial.write_text(text, encoding="utf-8")
    partial.rename(folder / LOCK)


def report(update: bool, folder: Path = paths.ROOT / "layers") -> None:
    """Print the lock; with `update` ask for newer commits, print what moves, and write it. Raises FirmwareError."""
    known = layers(folder)
    moved = {move.layer.name: move for move in moves(known)} if update else {}
    for layer in known:
        move = moved.get(layer.name)
        becomes = f" -> {move.to[:12]}, {len(move.subjects)} commits" if move else ""
        print(f"{layer.name:20} {layer.branch:10} {layer.commit[:12]}{becomes}")
        for subject in move.subjects if move else ():
            print(f"    {subject}")
    if moved:
        write(
            [replace(layer, commit=moved[layer.name].to) if layer.name in moved else layer for layer in known], folder
        )
        print(f"{folder / LOCK}: written; next: OE_MIRRORS=... ./inv check, and commit it")
    elif update:
        print("nothing moves")
