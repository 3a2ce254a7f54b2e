# SPDX-License-Identifier: MIT
"""The slot's content, `rootfs.ext4`: the base, and on it what one board needs; bit for bit the same each time.

Behind the file system stands its hash tree (`firmware/verity.py`).

No root, no fakeroot, no mount: the base is a `Tree`, `payload` changes it, `ext4` writes it. The version is
made of the product's version and of the key of all inputs, so it changes with the content and with nothing else.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import tomllib
from pathlib import Path

from firmware import ext4, layout, paths, payload, recipe, tree, verity
from firmware.board import Board
from firmware.errors import UserError
from firmware.payload import Parts
from firmware.stage import Stage

MARGIN_BYTES = 8 << 20
CODE = ("accounts", "bytecode", "ext4", "payload", "provenance", "rootfs", "tree", "units", "verity")


def product_version() -> str:
    """Version of the product, from `pyproject.toml`."""
    return str(tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]["version"])


def inputs(board: Board, recipes: list[recipe.Recipe], base: Path, parts: Parts) -> Stage:
    """The stage: all that the slot is made of."""
    templates = sorted({paths.ROOT / "templates" / r.template for item in recipes for r in item.rendered})
    return Stage(
        "rootfs",
        texts={
            "board": board.model_dump_json(),
            "layout": repr(layout.PARTITIONS),
            "product": product_version(),
            "base": (base / "sha256").read_text(),
            "kernel": parts.kernel.name,
            "driver": parts.driver.name,
            "overlay": parts.overlay.name,
            "keyring": parts.keyring.read_text(),
            "sources": repr(parts.sources),
            "boot loader": parts.boot_loader.parent.name if parts.boot_loader else "",
            "recipes": hashlib.sha256("".join(r.model_dump_json() for r in recipes).encode()).hexdigest(),
        },
        files=(
            *(paths.ROOT / "firmware" / f"{name}.py" for name in CODE),
            *templates,
            *(r.folder for r in recipes if r.files),
        ),
    )


def version(stage: Stage) -> str:
    """Version of the slot that the stage makes, e.g. `0.1.0+3f9a41c2d07b`."""
    return f"{product_version()}+{stage.key[:12]}"


def build(board: Board, base: Path, parts: Parts) -> Path:
    """Result folder: `rootfs.ext4`, `rootfs.json` (packages), `version`, `sha256`. Raises UserError: too large."""
    recipes = recipe.for_board(board, "debian")
    stage = inputs(board, recipes, base, parts)

    def work(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="slot-", dir=folder.parent) as name:
            scratch = Path(name)
            for sub in ("modules", "ext4"):
                (scratch / sub).mkdir()
            slot = tree.load(base / "tree.json")
            payload.install(slot, board, recipes, parts, version(stage), scratch / "modules")
            payload.add_provenance(slot, board, json.loads((base / "packages.json").read_text()), parts)
            write(slot, folder / "rootfs.ext4", f"{board.name} {stage.key}", scratch / "ext4")
        (folder / "rootfs.json").write_text((base / "packages.json").read_text())
        (folder / "version").write_text(version(stage) + "\n")
        with (folder / "rootfs.ext4").open("rb") as stream:
            (folder / "sha256").write_text(hashlib.file_digest(stream, "sha256").hexdigest() + "\n")

    return stage.make(work)


def write(slot: tree.Tree, image: Path, seed: str, scratch: Path) -> None:
    """Write the slot's tree, and the hash tree behind it. Raises UserError when it does not fit."""
    slot.file(verity.MARK, verity.MARK_TEXT)
    size = ext4.wanted_bytes(slot, MARGIN_BYTES)
    if (needed := verity.whole_bytes(size)) > layout.SLOT_BYTES:
        largest = sorted(((entry.size, path) for path, entry in slot.items()), reverse=True)[:5]
        named = ", ".join(f"{path} ({bytes_ >> 10} KiB)" for bytes_, path in largest)
        raise UserError(
            f"the slot's content needs {needed} bytes (valid: at most {layout.SLOT_BYTES}); largest files: {named}"
        )
    ext4.make(slot, image, size, "slot", seed, scratch)
    verity.add(image)


def packages(rootfs: Path) -> list[dict[str, str]]:
    """Debian packages of a rootfs result."""
    found: list[dict[str, str]] = json.loads((rootfs / "rootfs.json").read_text())
    return found
