# SPDX-License-Identifier: MIT
"""What a release build made, under the names and with the manifest that both engines share.

BitBake's deploy folder is left alone: files are linked (or copied) into `build/<board>/kas/results/<key>/`, where the
key is made of their contents, and published from there like the Debian engine's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from firmware import bundle, image, manifest, openembedded, paths, payload, publish, release, tool
from firmware.board import STREAM_PORT, Board
from firmware.errors import ToolError
from firmware.manifest import Content, Manifest, Promises, SourcePackage
from firmware.recipe import Recipe

RELEASE_FILE = "/usr/share/cyclone-capture/release.json"
KERNEL = openembedded.STATIC / "recipes-kernel" / "linux"


def deployed(board: Board, boards: Sequence[Board]) -> Path:
    """BitBake's folder of results for `board` in a run of `boards`."""
    return release.scratch(board, boards) / "deploy" / "images" / board.name


def wanted(board: Board) -> dict[str, str]:
    """What BitBake calls each result, by the name that it gets."""
    stem = f"capture-image-{board.name}.rootfs"
    return {
        f"{board.name}.img": f"{stem}.wic",
        f"{board.name}.img.bmap": f"{stem}.wic.bmap",
        f"{board.name}.raucb": f"capture-bundle-{board.name}.raucb",
        f"{board.name}.spdx.json": f"{stem}.spdx.json",
        "rootfs.ext4": f"{stem}.ext4",
        "u-boot-with-spl.sfp": "u-boot-with-spl.sfp",
        release.U_BOOT_CONFIG: release.U_BOOT_CONFIG,
    }


def cve_reports(boards: Sequence[Board]) -> list[Path]:
    """Reports on known vulnerabilities of each board's image, for people and for programs, in `build/<board>/reports/`.

    Raises ToolError when BitBake left none.
    """
    placed = []
    for board in boards:
        for name, theirs in (("cve.txt", "cve.txt"), ("cve.json", "sbom-cve-check.yocto.json")):
            source = deployed(board, boards) / f"capture-image-{board.name}.rootfs.{theirs}"
            if not source.is_file():
                raise ToolError(["bitbake"], 0, f"no {source}", "was the image looked up?")
            target = paths.BUILD / board.name / "reports" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            placed.append(target)
    return placed


def collect(board: Board, source: Path) -> Path:
    """The results in `source` under their names, in one folder. Raises ToolError when not all of them are there."""
    found = {name: source / theirs for name, theirs in wanted(board).items()}
    if missing := [path.name for path in found.values() if not path.is_file()]:
        raise ToolError(["bitbake"], 0, f"{source} has no {', '.join(missing)}", "was the whole image built?")
    sums = {name: _sha256(path) for name, path in sorted(found.items())}
    key = hashlib.sha256(repr(sums).encode()).hexdigest()[:32]
    folder = release.results(board.name) / key
    partial = folder.with_name(f".{key}")
    if not folder.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, path in found.items():
            _link(path.resolve(), partial / name)
        partial.rename(folder)
    return folder


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def u_boot_release(folder: Path) -> str:
    """The version that U-Boot says it is. Raises ToolError when it says none."""
    found = re.search(rb"U-Boot (20\d\d\.\d\d[\w.+-]*)", (folder / "u-boot-with-spl.sfp").read_bytes())
    if found is None:
        raise ToolError(["bitbake"], 0, f"no version in {folder / 'u-boot-with-spl.sfp'}")
    return found[1].decode()


def kernel_release(folder: Path) -> str:
    """The kernel's release, from the slot's release file. Raises ToolError when there is none."""
    debugfs = tool.need("debugfs", "e2fsprogs")
    said = tool.capture([debugfs, "-R", f"cat {RELEASE_FILE}", folder / "rootfs.ext4"])
    found = re.search(r'"kernel": "([^"]+)"', said)
    if found is None:
        raise ToolError([debugfs], 0, f"the slot has no {RELEASE_FILE}")
    return found[1]


def sources(series: str) -> list[SourcePackage]:
    """The kernel's source, as its recipe pins it."""
    (recipe,) = KERNEL.glob("linux-capture_*.bb")
    text = recipe.read_text()
    version = re.search(r'^LINUX_VERSION = "(.*)"$', text, re.MULTILINE)
    digest = re.search(r'^SRC_URI\[sha256sum\] = "(.*)"$', text, re.MULTILINE)
    if version is None or digest is None:
        raise ToolError(["bitbake"], 0, f"{recipe}: no LINUX_VERSION or checksum")
    return [SourcePackage(package="linux", version=version[1], suite=series, sha256=digest[1])]


def publish_results(
    board: Board, source: Path, recipes: list[Recipe], version: str, tree: str, series: str
) -> Manifest:
    """Collect from `source`, verify, describe, publish. Raises ToolError: not all is there, or an unsound image."""
    folder = collect(board, source)
    config = (folder / release.U_BOOT_CONFIG).read_text(encoding="utf-8")
    image.verify(folder / f"{board.name}.img", config, "bitbake")
    rootfs = folder / "rootfs.ext4"
    draft = publish.Draft(
        version=version,
        tree=tree,
        rootfs=Content(sha256=_sha256(rootfs), bytes=rootfs.stat().st_size),
        kernel=kernel_release(folder),
        u_boot=u_boot_release(folder),
        compatible=bundle.compatible(board),
        sources=sources(series),
        inputs={"results": folder.name},
        promises=Promises(
            fabric_id=board.fabric.id,
            ring_blocks=board.ring.blocks,
            ring_block_bytes=board.ring.block_bytes,
            stream_port=STREAM_PORT,
            slots=sorted(manifest.SLOTS),
            units=payload.wanted_units(recipes),
        ),
    )
    return publish.publish(board, "yocto", dict.fromkeys(("image", "bundle", "sbom"), folder), draft)
