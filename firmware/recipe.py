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
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, PrivateAttr, ValidationError

from firmware import paths
from firmware.board import Name, Strict
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
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """The recipe's folder: where it was loaded from."""
        return self._folder or paths.ROOT / "recipes" / self.name


def load_all(folder: Path = paths.ROOT / "recipes") -> list[Recipe]:
    """All recipes, sorted by name. Raises UserError naming file, key and what is valid."""
    found = []
    for path in sorted(folder.glob("*/recipe.yaml")):
        try:
            recipe = Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except yaml.YAMLError as error:
            raise UserError(f"{path}: no valid YAML: {error}") from error
        except ValidationError as error:
            lines = [f"{path}: {'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()]
            raise UserError("\n".join(lines)) from error
        if recipe.name != path.parent.name:
            raise UserError(f"{path}: name: {recipe.name!r} is not the folder's name (valid: {path.parent.name!r})")
        recipe._folder = path.parent
        found.append(recipe)
    return found
