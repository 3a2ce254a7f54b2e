# SPDX-License-Identifier: MIT
"""The engines: from a board to image, bundle, bill of materials and manifest, in `build/<board>/<engine>/`.

Each step is a stage: what has not changed is not made again; an interrupted build goes on from its last whole stage.
The manifest is written last; while files are being replaced there is none, so nobody takes a half-replaced set.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from firmware import (
    base,
    boot_loader,
    bundle,
    doctor,
    image,
    manifest,
    paths,
    payload,
    publish,
    recipe,
    rootfs,
    sbom,
    signing,
)
from firmware.board import STREAM_PORT, Board
from firmware.choice import ENGINES
from firmware.errors import UserError
from firmware.manifest import Manifest
from firmware.payload import Parts
from firmware.sources import Version


def build(board: Board, engine: str = "debian", update: bool = False) -> Manifest:
    """All results for `board`, by `engine`; `update` looks for newer Debian packages first. Raises FirmwareError."""
    (made,) = build_all((board,), engine, update)
    return made


def build_all(boards: Sequence[Board], engine: str, update: bool = False) -> list[Manifest]:
    """`build` for several boards: BitBake makes them in one run, the Debian engine one after the other."""
    if engine not in ENGINES:
        raise UserError(f"unknown engine {engine!r} (valid: {', '.join(ENGINES)})")
    if engine == "yocto":
        from firmware import yocto_build

        if update:
            raise UserError(
                "--update is for Debian packages (valid: ./inv lock --update moves the Yocto engine's layers)"
            )
        return yocto_build.build(boards)
    doctor.require()
    for board in boards:
        recipe.for_board(board, engine)
    return [_debian(board, update and board is boards[0]) for board in boards]


def _debian(board: Board, update: bool) -> Manifest:
    from firmware import driver, kernel, overlay, sources, uboot

    if update:
        sources.refresh()
    recipes = recipe.for_board(board, "debian")
    trust = signing.chosen()
    steps = {"kernel": kernel.build(board, "release"), "u-boot": uboot.build(board)}
    steps["driver"] = driver.build(steps["kernel"])
    steps["overlay"] = overlay.build(board)
    steps["base"] = base.build(recipes)
    loader = steps["u-boot"] / boot_loader.LOADER
    compiled = [source_package(found) for found in (kernel.source(), uboot.source())]
    parts = Parts(steps["kernel"], steps["driver"], steps["overlay"], trust.authority, loader, tuple(compiled))
    steps["rootfs"] = rootfs.build(board, steps["base"], parts)
    epoch = int((steps["base"] / "epoch").read_text())
    steps["image"] = image.build(board, steps["u-boot"], steps["rootfs"], epoch)
    inputs = bundle.Inputs(
        board, steps["rootfs"] / "rootfs.ext4", (steps["rootfs"] / "version").read_text().strip(), epoch, trust
    )
    steps["bundle"] = bundle.build(inputs, steps["rootfs"].name)
    steps["sbom"] = sbom.build(board.name, steps["rootfs"], rootfs.packages(steps["rootfs"]), compiled, recipes, epoch)
    return publish.publish(board, "debian", steps, describe(board, steps, inputs, compiled, recipes))


def source_package(found: Version) -> manifest.SourcePackage:
    """The manifest's line for a source that was compiled."""
    return manifest.SourcePackage(package=found.package, version=found.version, suite=found.suite, sha256=found.sha256)


def describe(
    board: Board,
    steps: dict[str, Path],
    inputs: bundle.Inputs,
    compiled: list[manifest.SourcePackage],
    recipes: list[recipe.Recipe],
) -> publish.Draft:
    """The manifest but for the files, which `publish` puts in place."""
    return publish.Draft(
        version=inputs.version,
        tree=git_description(),
        rootfs=manifest.Content(
            sha256=(steps["rootfs"] / "sha256").read_text().strip(), bytes=inputs.rootfs.stat().st_size
        ),
        kernel=(steps["kernel"] / "release").read_text().strip(),
        u_boot=(steps["u-boot"] / "release").read_text().strip(),
        compatible=bundle.compatible(board),
        sources=compiled,
        inputs={name: folder.name for name, folder in sorted(steps.items())},
        promises=manifest.Promises(
            fabric_id=board.fabric.id,
            ring_blocks=board.ring.blocks,
            ring_block_bytes=board.ring.block_bytes,
            stream_port=STREAM_PORT,
            slots=sorted(manifest.SLOTS),
            units=payload.wanted_units(recipes),
        ),
    )


def bundle_inputs(board: Board) -> bundle.Inputs:
    """What the built bundle of the debian engine was made of, for `bundle.variant`. Raises UserError: not built."""
    found = manifest.load_built(board.name, "debian")
    folder = paths.cache() / "stages" / "rootfs" / found.inputs["rootfs"]
    origin = paths.cache() / "stages" / "base" / found.inputs["base"]
    if not (folder / "rootfs.ext4").is_file() or not (origin / "epoch").is_file():
        raise UserError(f"the cache no longer holds what {board.name} was built from (valid: run ./inv build)")
    epoch = int((origin / "epoch").read_text())
    return bundle.Inputs(board, folder / "rootfs.ext4", found.version, epoch, signing.chosen())


def git_epoch() -> str:
    """When the checkout was committed, in seconds (`SOURCE_DATE_EPOCH`: another time); empty when git does not know."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # argv
    return done.stdout.strip() if done.returncode == 0 else ""


def git_description() -> str:
    """What git says of the checkout, or an empty text when it is none."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607  # git of the user
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""
