# SPDX-License-Identifier: MIT
"""The Yocto engine's view of a recipe: what `templates/yocto/recipe.bb.j2` needs to become a BitBake recipe.

`view` translates a `recipe.yaml` into BitBake's terms: folders of the target into OpenEmbedded's variables (`/etc` is
`${sysconfdir}`), kinds into classes, the licence into a text with its MD5 sum. Sources are not copied: BitBake finds
them in the checkout's `recipes/` and among the rendered files (`capture_sources.bbclass`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from firmware import accounts, names, paths
from firmware.errors import UserError
from firmware.recipe import Recipe

LAYER = "yocto/meta-board"  # the rendered layer, below the folder of rendered files

# Longest first: what a path begins with on the target -> OpenEmbedded's variable for it.
FOLDERS = {
    "/usr/lib/systemd/system": "${systemd_system_unitdir}",
    "/usr/lib/udev": "${nonarch_base_libdir}/udev",
    "/usr/include": "${includedir}",
    "/usr/share": "${datadir}",
    "/usr/sbin": "${sbindir}",
    "/usr/bin": "${bindir}",
    "/usr/lib": "${nonarch_libdir}",
    "/usr": "${prefix}",
    "/etc": "${sysconfdir}",
    "/var": "${localstatedir}",
}
KINDS = {"kernel-module": ("module", "kernel/modules"), "overlay": ("devicetree", "bsp"), "files": ("", "base")}
NO_SOURCE = {"recipe.yaml", "bindings", "tests", "__pycache__"}  # in a driver's folder, but not for its build
RAUC_CONFIGURATION = "/etc/rauc/system.conf"
# Files that a package of OpenEmbedded-Core (base-files, netbase) owns, so that no other may bring them: they are put
# below OVERRIDES, and capture_image.bbclass moves them into place when the image is complete.
CONTESTED = {"/etc/fstab", "/etc/hostname", "/etc/hosts"}
OVERRIDES = "/usr/share/cyclone-capture/overrides"


@dataclass(frozen=True)
class Install:
    """One `install` of a BitBake recipe: `source` below UNPACKDIR, `to` in OpenEmbedded's variables."""

    source: str
    to: str
    mode: str
    folder: bool


@dataclass(frozen=True)
class Links:
    """Symbolic links `names` in the folder `to` that all point to `target` (a unit is masked by one to /dev/null)."""

    to: str
    target: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A recipe in BitBake's terms; each field stands in the template under its name."""

    name: str
    kind: str
    summary: str
    section: str
    licence: str
    licence_md5: str
    sources: tuple[str, ...]
    classes: tuple[str, ...]
    users: tuple[str, ...]
    groups: tuple[str, ...]
    enable: tuple[str, ...]
    install: tuple[Install, ...]
    links: tuple[Links, ...]
    shipped: tuple[str, ...]
    needs: tuple[str, ...]
    provides: tuple[str, ...]
    machine_specific: bool


def target_path(path: str) -> str:
    """`path` on the target with OpenEmbedded's variable in place of the folder that it begins with."""
    if path in CONTESTED:
        path = OVERRIDES + path
    for folder, variable in FOLDERS.items():
        if PurePosixPath(path).is_relative_to(folder):
            return variable + path.removeprefix(folder)
    return path


def licence_md5(licence: str) -> str:
    """MD5 sum of the licence's text, as LIC_FILES_CHKSUM wants it. Raises UserError when there is no text."""
    text = paths.ROOT / "LICENSES" / f"{licence}.txt"
    if not text.is_file():
        raise UserError(f"no text of licence {licence!r} (valid: put it in {text})")
    return hashlib.md5(text.read_bytes(), usedforsecurity=False).hexdigest()


def overlay_name(recipes: Iterable[Recipe]) -> str:
    """Name of the one recipe that brings the overlay. Raises UserError when it is not exactly one."""
    found = [recipe.name for recipe in recipes if recipe.kind == "overlay"]
    if len(found) != 1:
        raise UserError(f"recipes of kind 'overlay': {', '.join(found) or 'none'} (valid: exactly one)")
    return found[0]


def rauc_configuration_name(recipes: Iterable[Recipe]) -> str:
    """Name of the one recipe that brings RAUC's configuration. Raises UserError when it is not exactly one."""
    found = [recipe.name for recipe in recipes if _configures_rauc(recipe)]
    if len(found) != 1:
        raise UserError(f"recipes that render {RAUC_CONFIGURATION}: {', '.join(found) or 'none'} (valid: exactly one)")
    return found[0]


def check_packages(recipes: Iterable[Recipe]) -> None:
    """Raise UserError when a recipe needs what neither another recipe nor an upstream layer provides."""
    known, upstream = list(recipes), names.load()
    ours = {recipe.name for recipe in known}
    for recipe in known:
        for package in recipe.packages.yocto:
            if package not in ours and not upstream.packs(package):
                close = ", ".join(upstream.close(package)) or f"a name of {names.LIST.relative_to(paths.ROOT)}"
                raise UserError(
                    f"recipes/{recipe.name}/recipe.yaml: packages.yocto: nobody provides {package!r} (valid: {close})"
                )


def recipe_path(recipe: Recipe) -> str:
    """Where the BitBake recipe goes, below the folder of rendered files."""
    return f"{LAYER}/recipes-capture/{recipe.name}/{recipe.name}_{recipe.version}.bb"


def view(recipe: Recipe) -> View:
    """The recipe in BitBake's terms. Raises UserError: a source that is not there, a licence without a text."""
    install = tuple(sorted(_installs(recipe), key=lambda item: not item.folder))  # a folder sets the mode of all below
    links = tuple(_links(recipe))
    kind_class, section = KINDS[recipe.kind]
    classes = ["capture_sources", *([kind_class] if kind_class else [])]
    if recipe.enable:
        classes.append("systemd")
    if recipe.users:
        classes.append("useradd")
    machine_specific = recipe.kind == "files" and bool(recipe.rendered)
    if recipe.kind == "files" and not machine_specific:
        classes.append("allarch")
    boot = ("/boot/overlay.dtbo", "/boot/fabric.rbf") if recipe.kind == "overlay" else ()
    return View(
        name=recipe.name,
        kind=recipe.kind,
        summary=_quotable(recipe.summary.removesuffix(".")),
        section=section,
        licence=recipe.licence,
        licence_md5=licence_md5(recipe.licence),
        sources=tuple(_sources(recipe, install)),
        classes=tuple(classes),
        users=tuple(_user(user.name, user.groups) for user in recipe.users),
        groups=tuple(f"--system --gid {accounts.number(group)} {group}" for group in accounts.groups(recipe.users)),
        enable=tuple(recipe.enable),
        install=install,
        links=links,
        shipped=tuple(sorted({*boot, *(item.to for item in install), *(group.to for group in links)})),
        needs=tuple(sorted(recipe.packages.yocto)),
        provides=("virtual-rauc-conf",) if _configures_rauc(recipe) else (),
        machine_specific=machine_specific,
    )


def _configures_rauc(recipe: Recipe) -> bool:
    return any(rendered.to == RAUC_CONFIGURATION for rendered in recipe.rendered)


def _quotable(text: str) -> str:
    """`text` for a double-quoted BitBake value."""
    return re.sub(r"\s+", " ", text.replace("\\", "/").replace('"', "'"))


def _installs(recipe: Recipe) -> Iterable[Install]:
    for item in recipe.files:
        source = recipe.folder / item.source
        if not source.exists():
            raise UserError(
                f"recipes/{recipe.name}/recipe.yaml: files: no {source} (valid: a file or folder beside it)"
            )
        if not _links_in(source):
            yield Install(item.source.rstrip("/"), target_path(item.to.rstrip("/")), item.mode, source.is_dir())
    for rendered in recipe.rendered:
        yield Install(rendered.to.lstrip("/"), target_path(rendered.to), rendered.mode, folder=False)


def _links(recipe: Recipe) -> Iterable[Links]:
    """What a folder of links becomes: commands. (Of a link in SRC_URI, BitBake reads what it points to on the host.)"""
    for item in recipe.files:
        groups: dict[str, list[str]] = {}
        for link in _links_in(recipe.folder / item.source):
            groups.setdefault(str(link.readlink()), []).append(link.name)
        for target, linked in sorted(groups.items()):
            yield Links(target_path(item.to.rstrip("/")), target, tuple(linked))


def _links_in(folder: Path) -> list[Path]:
    """The symbolic links of a folder of links, sorted. Raises UserError when it holds anything else beside links."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    links = [entry for entry in entries if entry.is_symlink()]
    if links and links != entries:
        raise UserError(f"{folder}: links beside files (valid: a folder of links only, or of files and folders only)")
    return links


def _sources(recipe: Recipe, install: Iterable[Install]) -> list[str]:
    sources = [item.source for item in install]
    if recipe.kind == "overlay":
        sources += ["overlay.dtso", "fabric.rbf"]
    if recipe.kind == "kernel-module":
        entries = (entry.name for entry in recipe.folder.iterdir())
        sources += [name for name in entries if name not in NO_SOURCE and not name.startswith(".")]
    known = {*sources}
    outermost = (one for one in known if not any(str(parent) in known for parent in PurePosixPath(one).parents))
    return [*sorted(outermost), f"{recipe.licence}.txt"]


def _user(name: str, groups: Iterable[str]) -> str:
    # The number is the Debian engine's: a board's data keeps its owners when an upgrade comes from the other engine.
    options = f"--system --uid {accounts.number(name)} --no-create-home --user-group --shell ${{base_sbindir}}/nologin"
    joined = ",".join(groups)
    return f"{options} --groups {joined} {name}" if joined else f"{options} {name}"
