# SPDX-License-Identifier: MIT
"""Fill a mirror for the Yocto engine: the layers' repositories, and every source that a build of the board needs.

    DIR/openembedded-core, DIR/bitbake, DIR/rauc/meta-rauc.git    bare repositories, below their hosts' paths
    DIR/downloads                                                 BitBake's DL_DIR, git sources as archives as well

`OE_MIRRORS=DIR` uses it: `./inv build --engine=yocto` takes all from there and asks no network, `./inv check` runs the
second tier of the gates. Filling it again fetches what is new; nothing is ever deleted.
"""

from __future__ import annotations

import os
from pathlib import Path

from firmware import lock, openembedded, release, rendering, signing, tool
from firmware.board import Board
from firmware.errors import ToolError, UserError


def folder(given: str) -> Path:
    """The mirror's folder. Raises UserError when it is a file, or cannot be written."""
    found = Path(given).expanduser().resolve()
    try:
        found.mkdir(parents=True, exist_ok=True)
        writable = os.access(found, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"--to: {given!r} cannot be written (valid: a folder, made when it is not there)")
    return found


def fill_layers(place: Path, layers: list[lock.Layer]) -> list[str]:
    """Fetch each layer's repository; returns a line for each. Raises ToolError, UserError (no such commit)."""
    said = []
    for layer in layers:
        target = place / openembedded.path_of(layer)
        git = ["git", "-c", "safe.directory=*"]
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.partial")
            tool.capture([*git, "clone", "--quiet", "--mirror", lock.place(layer.url), partial])
            partial.rename(target)
        else:
            tool.capture([*git, "-C", target, "fetch", "--quiet", "--prune", "origin"])
        try:
            tool.capture([*git, "-C", target, "cat-file", "-e", f"{layer.commit}^{{commit}}"])
        except ToolError as error:
            raise UserError(
                f"{layer.url} has no commit {layer.commit} (valid: move layers/{lock.LOCK} with ./inv lock --update)"
            ) from error
        said.append(f"{layer.name:20} {layer.commit[:12]}  {target}")
    return said


def sources_command(board: Board, place: Path) -> release.Command:
    """The command that fetches every source of image and bundle into the mirror."""
    made = release.command((board,), release.Wishes(), "0", signing.chosen(), {**os.environ, lock.MIRRORS: ""})
    made.environment["DL_DIR"] = str(place / "downloads")
    return release.Command([*made.argv, "--runall=fetch"], made.environment, made.folder)


def fill(board: Board, given: str, layers_only: bool) -> None:
    """Fill the mirror `given`; with `layers_only` the repositories alone. Raises FirmwareError."""
    place = folder(given)
    with tool.step("layers"):
        said = fill_layers(place, lock.layers())
    print("\n".join(said))
    if not layers_only:
        made = sources_command(board, place)
        release.prepare(made)
        rendering.write(board)
        with tool.step("sources"):
            print(release.summary(release.run(made)))
    print(f"use it:  OE_MIRRORS={place} ./inv build --engine=yocto")
