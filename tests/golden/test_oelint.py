# SPDX-License-Identifier: MIT
"""oelint-adv, the OpenEmbedded style checker, over every recipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import paths, rendering

pytestmark = pytest.mark.golden

CONSTANTS = Path(__file__).parent / "bitbake" / "oelint.json"  # names of our layers and of meta-rauc
STATIC = paths.ROOT / "layers" / "meta-cyclone-capture"
SUPPRESSED = {
    "oelint.var.mandatoryvar.HOMEPAGE": "our own recipes are part of this project, which has no page of its own",
    "oelint.vars.homepageping": "no network in tests",
    "oelint.vars.summary80chars": "recipe.yaml allows 100",
}


def findings(files: list[Path]) -> list[str]:
    suppressions = [f"--suppress={rule}" for rule in SUPPRESSED]
    command = [
        sys.executable,
        "-m",
        "oelint_adv",
        "--release=wrynose",
        "--quiet",
        "--hide=info",
        f"--constantmods=+{CONSTANTS}",
        *suppressions,
    ]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return [line for line in (done.stdout + done.stderr).splitlines() if ":warning:" in line or ":error:" in line]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("rendered")
    rendering.write(boards.load(boards.DEFAULT_BOARD), folder)
    return sorted(folder.rglob("*.bb"))


MUTATIONS = {
    "workdir": ('S = "${UNPACKDIR}"', 'S = "${WORKDIR}"', "UNPACKDIR"),
    "override": ("RDEPENDS:${PN}", "RDEPENDS_${PN}", "RDEPENDS_"),
    "licence": ("LICENSE = ", "LICENCE = ", "mandatoryvar.LICENSE"),
    "spelling": ("SRC_URI = ", "SRC_URi = ", "SRC_URi"),
}


@pytest.fixture(scope="module")
def mutated(rendered: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Findings in all mutations of one recipe, in one run."""
    folder = tmp_path_factory.mktemp("mutated")
    recipe = next(path for path in rendered if path.name.startswith("captured_"))
    for name, (old, new, _said) in MUTATIONS.items():
        assert old in recipe.read_text()
        (folder / f"{name}_1.0.bb").write_text(recipe.read_text().replace(old, new, 1))
    return findings(sorted(folder.iterdir()))


@pytest.mark.parametrize("name", MUTATIONS)
def test_checker_refuses(mutated: list[str], name: str) -> None:
    assert any(f"/{name}_1.0.bb:" in line and MUTATIONS[name][2] in line for line in mutated), mutated


def test_checker_accepts(rendered: list[Path]) -> None:
    assert findings([*rendered, *STATIC.rglob("*.bb"), *STATIC.rglob("*.bbappend")]) == []
