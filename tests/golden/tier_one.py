# SPDX-License-Identifier: MIT
"""The first tier of the gates, on any machine: BitBake's parser with stub classes, oelint-adv, and `firmware/gates.py`.

`Tree` is a copy of our layers in which a mistake can be made; `parse` runs the parser over many trees in one process
that is not the one that runs the tests (importing BitBake changes Python's logging for good).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware import board as boards
from firmware import gates, names, openembedded, paths, rendering, yocto

CHECK = Path(__file__).parent / "bitbake" / "check.py"
U_BOOT = CHECK.parent / "recipes-bsp/u-boot/u-boot_2026.01.bb"


@dataclass(frozen=True)
class Tree:
    """Our layers in `folder`: `layers/meta-cyclone-capture` and `rendered/`, for one board."""

    folder: Path
    board: str

    @property
    def static(self) -> Path:
        """The static layer."""
        return self.folder / "layers" / openembedded.STATIC.name

    @property
    def layers(self) -> tuple[Path, Path]:
        """The static layer and the board's."""
        return self.static, self.folder / "rendered" / yocto.LAYER

    def recipes(self) -> list[Path]:
        """Recipes of both, and the stub of the one that ours append to."""
        return [*sorted(path for layer in self.layers for path in layer.rglob("*.bb")), U_BOOT]

    def linted(self) -> list[Path]:
        """What oelint-adv reads."""
        return [path for layer in self.layers for ending in ("*.bb", "*.bbappend") for path in layer.rglob(ending)]

    def job(self) -> dict[str, Any]:
        """What `check.py` is asked."""
        return {
            "layers": [str(layer) for layer in self.layers],
            "machine": self.board,
            "distro": "cyclone-capture",
            "topdir": str(self.folder / "top"),
            "recipes": [str(path) for path in self.recipes()],
            "appends": {str(U_BOOT): [str(path) for path in self.static.rglob("u-boot_*.bbappend")]},
        }

    def violations(self, parsed: Mapping[str, Any]) -> list[str]:
        """What the gates say of what `check.py` answered."""
        return self.violations_of(gates.parsed(parsed))

    def violations_of(self, recipes: tuple[gates.Parsed, ...]) -> list[str]:
        """What the gates say of recipes, whoever has evaluated them."""
        return gates.violations(gates.Layers(boards.load(self.board), recipes, self.layers, names.load()))


def plant(folder: Path, board: str) -> Tree:
    """A tree for `board` in `folder`. Sources are looked up in the checkout."""
    tree = Tree(folder, board)
    shutil.copytree(openembedded.STATIC, tree.static)
    for name in ("recipes", "LICENSES", "board"):
        (folder / name).symlink_to(paths.ROOT / name)
    rendering.write(boards.load(board), folder / "rendered")
    return tree


def parse(trees: Mapping[str, Tree], scratch: Path) -> dict[str, dict[str, Any]]:
    """What the parser says of each tree's recipes, by their paths."""
    request = scratch / "request.json"
    request.write_text(json.dumps({"jobs": {name: tree.job() for name, tree in trees.items()}}))
    command = [sys.executable, str(CHECK), str(request)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return result
