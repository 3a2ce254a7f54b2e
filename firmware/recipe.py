# SPDX-License-Identifier: MIT
"""A recipe: one component that goes into the image, read from `recipes/<name>/recipe.yaml`; both engines read it.

name: captured                  # the folder's name, the package's name
summary: one line
version: "1.0"
licence: MIT                    # SPDX
kind: kernel-module             # kernel-module | overlay | files
files:                          # what is installed; `from` is a file or folder in the recipe's folder
  - {from: captured, to: /usr/lib/captured/captured, mode: "0644"}
rendered:                       # templates/<template> rendered with the board, then installed
  - {template: captured/constants.py.j2, to: /usr/lib/captured/constants.py, mode: "0644"}
enable: [captured.service]      # systemd units that start at boot
packages: {debian: [python3], yocto: [python3-core]}    # needed at run time, by engine
users: [{name: captured, groups: [capture]}]            # system users, made at build time
only_with: hawkbit              # goes only into images of boards whose file has this key; left out: into all
engines: [debian, yocto]        # those that package what it needs
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from firmware import paths, yaml_file
from firmware.board import Board, Name, Strict
from firmware.errors import UserError

Mode = Annotated[str, Field(pattern=r"^0[0-7]{3}$")]
TargetPath = Annotated[str, Field(pattern=r"^/[^\s]+$")]


class InstalledFile(Strict):
    """A file (or folder of files) of the recipe and where it goes on the board."""

    source: Annotated[str, Field(alias="from", min_length=1)]
    to: TargetPath
    mode: Mode = "0644"


class RenderedFile(Strict):
    """A template of `templates/` and where its rendering goes on the board."""

    template: str
    to: TargetPath
    mode: Mode = "0644"


class Packages(Strict):
    """Packages needed at run time, by engine."""

    debian: list[str] = []
    yocto: list[str] = []


class SystemUser(Strict):
    """A system user without a password or a log-in shell, and the system groups it is in."""

    name: Name
    groups: list[Name] = []


class Recipe(Strict):
    """One component of the image."""

    name: Name
    summary: Annotated[str, Field(min_length=1, max_length=100)]
    version: str
    licence: Literal["MIT", "GPL-2.0-only", "GPL-2.0-or-later"]
    kind: Literal["kernel-module", "overlay", "files"]
    files: list[InstalledFile] = []
    rendered: list[RenderedFile] = []
    enable: list[str] = []
    packages: Packages = Packages()
    users: list[SystemUser] = []
    only_with: Literal["hawkbit"] | None = None
    engines: Annotated[list[Literal["debian", "yocto"]], Field(min_length=1)] = ["debian", "yocto"]
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """The recipe's folder: where it was loaded from."""
        return self._folder or paths.ROOT / "recipes" / self.name


def load_all(folder: Path = paths.ROOT / "recipes") -> list[Recipe]:
    """All recipes, sorted by name. Raises UserError naming file, key and what is valid."""
    found = []
    for path in sorted(folder.glob("*/recipe.yaml")):
        recipe = yaml_file.load(path, Recipe)
        if recipe.name != path.parent.name:
            raise UserError(f"{path}: name: {recipe.name!r} is not the folder's name (valid: {path.parent.name!r})")
        recipe._folder = path.parent
        found.append(recipe)
    return found


def for_board(board: Board, engine: str | None = None, folder: Path = paths.ROOT / "recipes") -> list[Recipe]:
    """The recipes of the board's image. Raises UserError: one needs what `engine` does not package."""
    found = [one for one in load_all(folder) if one.only_with is None or getattr(board, one.only_with) is not None]
    for one in found:
        if engine is not None and engine not in one.engines:
            raise UserError(
                f"recipe {one.name!r}: engine {engine} does not package what it needs (valid: --engine="
                f"{' or '.join(one.engines)}; or board/{board.name}.yaml without {one.only_with!r})"
            )
    return found
