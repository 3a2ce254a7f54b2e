# SPDX-License-Identifier: MIT
"""Gates: what must hold for BitBake recipes beyond that they parse. Pure: evaluated recipes in, complaints out.

Each is a mistake that BitBake or OpenEmbedded-Core accepts without a word, or finds only when it builds: a dependency
that nobody provides, a licence text that has changed, a card description that is not looked at, an overlay package
that comes out empty, a unit that is enabled and not installed. They need no OpenEmbedded-Core: what its recipes
provide is in `layers/upstream-names.txt` (firmware/names.py). Another gate is one function in `GATES`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spdx_tools.common.spdx_licensing import spdx_licensing  # type: ignore[import-untyped]

from firmware import lock, names
from firmware.board import Board

SHELL_PARTS = re.compile(r"[&|() ]+")
SPDX = spdx_licensing.known_symbols
PACKAGED = "FILES|RDEPENDS|RRECOMMENDS|RPROVIDES|SYSTEMD_SERVICE|USERADD_PARAM|GROUPADD_PARAM"  # said of a package
OLD_OVERRIDE = re.compile(f"({PACKAGED})_([a-z].*)")  # packages have small letters; FILES_SOLIBSDEV is OpenEmbedded's
# Names of the variables and functions that the gates look at.
READS = re.compile(
    "PN|PROVIDES|PACKAGES|DEPENDS|LICENSE|LIC_FILES_CHKSUM|FILESPATH|SRC_URI|SRCREV|S|UNPACKDIR|do_install|DT_FILES|"
    "COMPATIBLE_MACHINE|MACHINEOVERRIDES|IMAGE_INSTALL|MACHINE_ESSENTIAL_EXTRA_RDEPENDS|UBOOT_BINARY|"
    f"WKS_FILE|WKS_FILE_DEPENDS|LAYERSERIES_COMPAT_.*|({PACKAGED})[:_].*"
)


@dataclass(frozen=True)
class Parsed:
    """A recipe as BitBake evaluates it: variables, texts of functions, and the tasks that each task is behind."""

    path: Path
    values: Mapping[str, str]
    functions: Mapping[str, str]
    tasks: Mapping[str, Sequence[str]]

    def get(self, name: str) -> str:
        """The variable's value, empty when it has none."""
        return self.values.get(name, "")


def parsed(answer: Mapping[str, Any]) -> tuple[Parsed, ...]:
    """The recipes that BitBake has evaluated, from the JSON of a program that ran in it: by path."""
    return tuple(
        Parsed(Path(path), one["values"], one["functions"], one["tasks"]) for path, one in sorted(answer.items())
    )


@dataclass(frozen=True)
class Layers:
    """All recipes of a board, and what they are checked against."""

    board: Board
    recipes: tuple[Parsed, ...]
    folders: tuple[Path, ...]
    names: names.Names


def dependencies(layers: Layers) -> Iterator[str]:
    """What is depended on exists: among our recipes, or in the list of upstream's names."""
    ours = {
        word for recipe in layers.recipes for key in ("PN", "PROVIDES", "PACKAGES") for word in recipe.get(key).split()
    }
    ours |= {w for r in layers.recipes for key in r.values if key.startswith("RPROVIDES:") for w in r.get(key).split()}
    for recipe in layers.recipes:
        for key, value in recipe.values.items():
            words = re.sub(r"\([^)]*\)", " ", value).split()
            if key in ("DEPENDS", "WKS_FILE_DEPENDS"):
                known: Callable[[str], bool] = layers.names.provides
            elif key.startswith("RDEPENDS:") or key in ("IMAGE_INSTALL", "MACHINE_ESSENTIAL_EXTRA_RDEPENDS"):
                known = layers.names.packs
            else:
                continue
            for word in words:
                if not {word, names.PACKAGE_VARIANTS.sub("", word)} & ours and not known(word):
                    yield f"{recipe.path.name}: {key}: nobody provides {word!r}"


def tasks(layers: Layers) -> Iterator[str]:
    """A task is behind tasks that exist: BitBake drops any other without a word, and so the order."""
    for recipe in layers.recipes:
        for task, behind in recipe.tasks.items():
            for other in behind:
                if other not in recipe.tasks:
                    yield f"{recipe.path.name}: task {task} is after {other}, which is no task"


def overrides(layers: Layers) -> Iterator[str]:
    """What is said of a package has a colon before its name; with an underscore it is another variable, of nobody."""
    for recipe in layers.recipes:
        for key in recipe.values:
            if found := OLD_OVERRIDE.match(key):
                yield f"{recipe.path.name}: {key} has no effect (valid: {found[1]}:{found[2]})"


def licences(layers: Layers) -> Iterator[str]:
    """LICENSE is made of SPDX's names, and each local licence text has the checksum that the recipe says."""
    for recipe in layers.recipes:
        for word in filter(None, SHELL_PARTS.split(recipe.get("LICENSE"))):
            if word not in SPDX and word != "CLOSED":
                yield f"{recipe.path.name}: LICENSE: {word!r} is no SPDX name"
        if not recipe.get("LICENSE"):
            yield f"{recipe.path.name}: no LICENSE"
        for uri in recipe.get("LIC_FILES_CHKSUM").split():
            yield from _licence_text(recipe, uri)


def _licence_text(recipe: Parsed, uri: str) -> Iterator[str]:
    name, _, said = uri.removeprefix("file://").partition(";md5=")
    found = next(
        (path for folder in recipe.get("FILESPATH").split(":") if (path := Path(folder, name)).is_file()), None
    )
    if found is not None:
        sum_ = hashlib.md5(found.read_bytes(), usedforsecurity=False).hexdigest()
        if sum_ != said:
            yield f"{recipe.path.name}: LIC_FILES_CHKSUM: {name} has the checksum {sum_}, not {said or 'none'}"
    elif all(source.startswith("file://") for source in recipe.get("SRC_URI").split()):
        yield f"{recipe.path.name}: LIC_FILES_CHKSUM: no {name} among the sources"


def overlays(layers: Layers) -> Iterator[str]:
    """DT_FILES names sources: a .dtbo that has only a .dtso is skipped, and the package comes out empty."""
    for recipe in layers.recipes:
        for name in recipe.get("DT_FILES").split():
            if not name.endswith((".dts", ".dtso")):
                yield f"{recipe.path.name}: DT_FILES: {name}: would be skipped (valid: the name of a .dts or .dtso)"
            elif f"file://{name}" not in recipe.get("SRC_URI").split():
                yield f"{recipe.path.name}: DT_FILES: {name} is not in SRC_URI"


def units(layers: Layers) -> Iterator[str]:
    """A unit that is enabled is installed by the same recipe."""
    for recipe in layers.recipes:
        for key in recipe.values:
            for unit in recipe.get(key).split() if key.startswith("SYSTEMD_SERVICE:") else ():
                if f"/{unit}" not in recipe.functions.get("do_install", ""):
                    yield f"{recipe.path.name}: {key}: {unit} is not installed"


def machines(layers: Layers) -> Iterator[str]:
    """COMPATIBLE_MACHINE admits the board: a recipe that it excludes is silently none."""
    for recipe in layers.recipes:
        wanted = recipe.get("COMPATIBLE_MACHINE")
        overrides = recipe.get("MACHINEOVERRIDES").split(":")
        if wanted and not any(re.match(wanted, one) for one in overrides):
            yield f"{recipe.path.name}: COMPATIBLE_MACHINE {wanted!r} excludes {layers.board.name}"


def sources(layers: Layers) -> Iterator[str]:
    """Sources are unpacked where S says; a git source has a commit, not a branch or a tag that moves."""
    for recipe in layers.recipes:
        where, unpack = recipe.get("S"), recipe.get("UNPACKDIR")
        if not Path(where).is_relative_to(unpack):
            yield f"{recipe.path.name}: S is {where}, outside UNPACKDIR {unpack}"
        for uri in recipe.get("SRC_URI").split():
            if uri.startswith(("git://", "gitsm://")):
                revision = re.search(r";rev=([^;]*)", uri)
                commit = revision[1] if revision else recipe.get("SRCREV")
                if not re.fullmatch("[0-9a-f]{40}", commit):
                    yield f"{recipe.path.name}: SRCREV is {commit!r} (valid: a commit, 40 hexadecimal digits)"


def series(layers: Layers) -> Iterator[str]:
    """Our layers say that they fit the series of OpenEmbedded-Core in layers/upstream.yml, and no other."""
    wanted = next(layer.branch for layer in lock.layers() if layer.name == "openembedded-core")
    for recipe in layers.recipes[:1]:
        said = {key: value for key, value in recipe.values.items() if key.startswith("LAYERSERIES_COMPAT_")}
        if not said:
            yield "no LAYERSERIES_COMPAT of any layer"
        for key, value in said.items():
            if value.split() != [wanted]:
                yield f"{key} is {value!r} (valid: {wanted})"


def patches(layers: Layers) -> Iterator[str]:
    """Each patch says what upstream thinks of it."""
    for folder in layers.folders:
        for patch in sorted(folder.rglob("*.patch")):
            if not re.search(r"^Upstream-Status: \w", patch.read_text(errors="replace"), re.MULTILINE):
                yield f"{patch}: no Upstream-Status"


def violations(layers: Layers) -> list[str]:
    """All complaints of all gates."""
    from firmware import gates_card

    return [said for gate in (*GATES, gates_card.card) for said in gate(layers)]


GATES: tuple[Callable[[Layers], Iterable[str]], ...] = (
    dependencies,
    tasks,
    overrides,
    licences,
    overlays,
    units,
    machines,
    sources,
    series,
    patches,
)
