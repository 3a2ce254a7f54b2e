# SPDX-License-Identifier: MIT
"""The list of what is rendered: which template becomes which file, for which engine.

`render_all` is pure: a board in, texts by relative path out. `write` puts them below `build/<board>/rendered/`: it
writes only what has changed (a build tool that looks at time stamps does not start over), removes what it wrote
earlier and would not write now, and touches nothing else. A further template is one row of `TABLE`; the BitBake
recipes, and the templates that a `recipe.yaml` names, come by themselves from `recipes/`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from firmware import accounts, boot_loader, lock, overlay, paths, provenance, render, uboot, yocto
from firmware.board import Board
from firmware.choice import ENGINES
from firmware.errors import UserError
from firmware.recipe import Recipe, for_board

LISTING = ".rendered-files"  # names of the files that the last `write` left, one a line
PROVENANCE = "provenance"  # folder of the files of firmware/provenance.py
FABRIC = "fabric/fabric.rbf"  # the bitstream, the only file that no template makes


@dataclass(frozen=True)
class Row:
    """One rendered file: `path` may hold `{board}`; `engines` that use it."""

    template: str
    path: str
    engines: tuple[str, ...] = ENGINES


TABLE = (
    Row("boot/environment.txt.j2", "boot/environment.txt"),
    Row("boot/u-boot.cfg.j2", "boot/u-boot.cfg"),
    Row("overlay/overlay.dtso.j2", "overlay/overlay.dtso"),
    Row("debian/genimage.cfg.j2", "debian/genimage.cfg", ("debian",)),
    Row("yocto/kas.yml.j2", "yocto/kas.yml", ("yocto",)),
    Row("yocto/u-boot-2026.cfg.j2", "yocto/u-boot-2026.cfg", ("yocto",)),
    Row("yocto/layer-readme.md.j2", f"{yocto.LAYER}/README.md", ("yocto",)),
    Row("yocto/layer-security.md.j2", f"{yocto.LAYER}/SECURITY.md", ("yocto",)),
    Row("yocto/layer.conf.j2", f"{yocto.LAYER}/conf/layer.conf", ("yocto",)),
    Row("yocto/machine.conf.j2", f"{yocto.LAYER}/conf/machine/{{board}}.conf", ("yocto",)),
    Row("yocto/multiconfig.conf.j2", f"{yocto.LAYER}/conf/multiconfig/{{board}}.conf", ("yocto",)),
    Row("yocto/card.wks.j2", f"{yocto.LAYER}/files/wic/{{board}}.wks.in", ("yocto",)),
    Row("yocto/image.bb.j2", f"{yocto.LAYER}/recipes-capture/images/capture-image.bb", ("yocto",)),
    Row("yocto/bundle.bb.j2", f"{yocto.LAYER}/recipes-capture/bundles/capture-bundle_1.0.bb", ("yocto",)),
)


def folder(board: Board) -> Path:
    """Where the board's rendered files go. The kas file names this place, relative to the checkout."""
    return paths.BUILD / board.name / "rendered"


def render_all(board: Board, engine: str | None = None, recipes: Iterable[Recipe] | None = None) -> dict[str, str]:
    """All rendered files, sorted by path relative to `folder(board)`; only those of `engine` if one is named.

    The card's disk signature is 0 here: the build derives it from the contents. Raises UserError: unknown engine,
    broken recipe, lock or template (named), a package that nobody provides, a name in a template that has no value.
    """
    if engine is not None and engine not in ENGINES:
        raise UserError(f"unknown engine {engine!r} (valid: {', '.join(ENGINES)})")
    known = for_board(board, engine) if recipes is None else list(recipes)
    layers = lock.layers() if engine != "debian" else []
    if engine != "debian":
        yocto.check_packages(known)
    values: dict[str, Any] = {
        "recipes": known,
        "overlay": yocto.overlay_name(known),
        "rauc_configuration": yocto.rauc_configuration_name(known),
        "own_device_tree": (paths.BOARDS / f"{board.device_tree}.dts").is_file(),
        "disk_signature": 0,
        "groups": accounts.groups(user for recipe in known for user in recipe.users),
    }
    texts = {
        row.path.format(board=board.name): render.text(row.template, board, **values)
        for row in TABLE
        if engine is None or engine in row.engines
    }
    if engine != "debian":  # facts as JSON, for the slot: what it was made of, what it carries of the boot loader
        texts[f"yocto/{PROVENANCE}/{PurePosixPath(provenance.BOARD_FILE).name}"] = provenance.board_text(board)
        texts[f"yocto/{PROVENANCE}/{PurePosixPath(provenance.LOCK_FILE).name}"] = provenance.yocto_lock(layers)
        variables = uboot.variables(texts["boot/environment.txt"])
        texts[f"yocto/{boot_loader.LOADER}/layout.json"] = boot_loader.layout_text()
        texts[f"yocto/{boot_loader.LOADER}/environment.json"] = boot_loader.environment_text(variables)
    for recipe in known:
        for item in recipe.rendered:
            texts[f"recipes/{recipe.name}{item.to}"] = render.text(item.template, board, **values)
        if engine != "debian":
            texts[yocto.recipe_path(recipe)] = render.text("yocto/recipe.bb.j2", board, recipe=yocto.view(recipe))
    return dict(sorted(texts.items()))


def check(board: Board) -> None:
    """Raise UserError if anything of `board` cannot be rendered."""
    render_all(board)
    overlay.bitstream(board)


def write(board: Board, target: Path | None = None) -> list[Path]:
    """Render everything for `board` into `target` (default: `folder(board)`), add the bitstream, name what changed.

    Raises UserError before the first write if anything cannot be rendered.
    """
    contents = {name: text.encode() for name, text in render_all(board).items()}
    contents[FABRIC] = overlay.bitstream(board)
    target = target or folder(board)
    target.mkdir(parents=True, exist_ok=True)
    _remove_stale(target, contents)
    listing = "".join(f"{name}\n" for name in contents)
    if not (target / LISTING).is_file() or (target / LISTING).read_text(encoding="utf-8") != listing:
        (target / LISTING).write_text(listing, encoding="utf-8")
    changed = []
    for name, content in contents.items():
        path = target / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        changed.append(path)
    return changed


def _remove_stale(target: Path, kept: Container[str]) -> None:
    """Delete what the listing names and `kept` does not, and the folders that are empty then."""
    listing = target / LISTING
    if not listing.is_file():
        return
    for name in listing.read_text(encoding="utf-8").splitlines():
        relative = PurePosixPath(name)
        inside = (target / relative).parent.resolve().is_relative_to(target.resolve())
        if name in kept or not name or relative.is_absolute() or ".." in relative.parts or not inside:
            continue
        if (target / relative).is_file() or (target / relative).is_symlink():
            (target / relative).unlink()
        for parent in (target / relative).parents:
            if parent == target or not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()
