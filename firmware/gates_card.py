# SPDX-License-Identifier: MIT
"""The gate of the card description (`.wks.in`): wic is the last step of a build, so its mistakes cost the whole build.

Where it must lie and what its plug-ins are called differs by release, and a file in the wrong folder is not found or
stops the parse. The partitions are those of `firmware/layout.py`, in its order.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from firmware import layout
from firmware.gates import Layers, Parsed

PLUGINS = {  # source plug-ins of wic, wrynose: underscores, none of the older names
    "bootimg_biosplusefi",
    "bootimg_efi",
    "bootimg_partition",
    "bootimg_pcbios",
    "empty",
    "extra_partition",
    "isoimage_isohybrid",
    "rawcopy",
    "rootfs",
}
FOLDER = "files/wic"


def card(layers: Layers) -> Iterator[str]:
    """The card description is found, its plug-ins exist, its partitions are the layout's, and it drags nothing in."""
    for folder in layers.folders:
        for path in sorted((folder / "wic").glob("*.wks*")):
            yield f"{path}: this release looks in {FOLDER} only"
    for recipe in layers.recipes:
        if not {"WKS_FILE", "IMAGE_INSTALL"} <= {*recipe.values}:  # a machine's WKS_FILE is in every recipe
            continue
        name = recipe.get("WKS_FILE")
        found = [folder / FOLDER / name for folder in layers.folders if (folder / FOLDER / name).is_file()]
        if not found:
            yield f"{recipe.path.name}: WKS_FILE: no {FOLDER}/{name} in any layer"
        for path in found[:1]:
            yield from _description(path, recipe)
        wanted = recipe.get("WKS_FILE_DEPENDS")
        if not wanted or "systemd-boot" in wanted:
            yield f"{recipe.path.name}: WKS_FILE_DEPENDS is not set: the default builds boot loaders of other machines"


def _description(path: Path, recipe: Parsed) -> Iterator[str]:
    parts = [shlex.split(line) for line in path.read_text().splitlines() if line.startswith("part ")]
    if len(parts) != len(layout.PARTITIONS):
        yield f"{path.name}: {len(parts)} partitions (valid: the {len(layout.PARTITIONS)} of firmware/layout.py)"
        return
    for words, partition in zip(parts, layout.PARTITIONS, strict=True):
        options = dict(_options(words))
        expected = {
            "--offset": f"{partition.offset // 1024}K",
            "--fixed-size": f"{partition.size // 1024}K",
            "--system-id": f"{partition.type:#x}",
        }
        for option, value in expected.items():
            if options.get(option) != value:
                yield f"{path.name}: {partition.name}: {option} {options.get(option)} (valid: {value})"
        plugin = options.get("--source")
        if plugin is not None and plugin not in PLUGINS:
            yield f"{path.name}: no source plug-in {plugin!r} (valid: {', '.join(sorted(PLUGINS))})"
    binary = f"file={recipe.get('UBOOT_BINARY')}"
    if f"--sourceparams={binary}" not in parts[0]:
        yield f"{path.name}: the boot partition is not made of {recipe.get('UBOOT_BINARY')}"


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            yield option, value if equals else following
