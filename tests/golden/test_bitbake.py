# SPDX-License-Identifier: MIT
"""Every recipe, rendered or static, through BitBake's own parser; and mutations that it must refuse.

One run of `bitbake/check.py` a board parses all its recipes, one more all mutations: the process that has imported
BitBake (which changes Python's logging for good) is not the one that runs the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware import board as boards
from firmware import paths, rendering, yocto
from firmware.recipe import load_all

pytestmark = pytest.mark.golden

CHECK = Path(__file__).parent / "bitbake" / "check.py"
STATIC = paths.ROOT / "layers" / "meta-cyclone-capture"
U_BOOT = CHECK.parent / "recipes-bsp/u-boot/u-boot_2026.01.bb"
RECIPE = "capture-ring"  # the one that is mutated


@dataclass(frozen=True)
class Mutation:
    """One mistake in a recipe: `old` becomes `new`, and an error must say `said`."""

    name: str
    old: str
    new: str
    said: str


MUTATIONS = (
    Mutation("quote", 'SECTION = "kernel/modules"', 'SECTION = "kernel/modules', "unparsed line"),
    Mutation("class", "capture_sources module", "capture_sources modul", "modul"),
    Mutation("require", "inherit capture", "require no-such.inc\ninherit capture", "no-such.inc"),
    Mutation("source", "file://Kbuild", "file://Kbuil", "no such file in FILESPATH"),
    Mutation("override", "do_install:append()", "do_install_append()", "do_install"),
    Mutation("shell", "    install -D", "    if install -D", "do_install"),
    Mutation("inline-python", 'SECTION = "kernel/modules"', 'SECTION = "${@d.getVa(1)}"', "getVa"),
    Mutation("python", "inherit capture", "python do_x() {\n    if:\n}\ninherit capture", "SyntaxError"),
    Mutation(
        "checksum",
        "    file://Kbuild",
        "    https://example.org/a.tar.xz \\\n    file://Kbuild",
        "no SRC_URI[sha256sum]",
    ),
)


def check(folder: Path, board: str, recipes: list[Path]) -> dict[str, Any]:
    request = folder / "request.json"
    content = {
        "layers": [str(STATIC), str(folder / "rendered" / yocto.LAYER)],
        "machine": board,
        "distro": "cyclone-capture",
        "topdir": str(folder / "top"),
        "recipes": [str(path) for path in recipes],
        "appends": {str(U_BOOT): [str(path) for path in STATIC.rglob("u-boot_*.bbappend")]},
    }
    request.write_text(json.dumps(content))
    command = [sys.executable, str(CHECK), str(request)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


@pytest.fixture(scope="module")
def mutated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Errors of each mutation, by its name; "none" is the recipe as it is."""
    folder = tmp_path_factory.mktemp("mutations")
    rendering.write(boards.load(boards.DEFAULT_BOARD), folder / "rendered")
    good = next((folder / "rendered" / yocto.LAYER).rglob(f"{RECIPE}_*.bb"))
    files = {"none": good}
    for mutation in MUTATIONS:
        text = good.read_text()
        assert mutation.old in text
        files[mutation.name] = folder / mutation.name / good.name
        files[mutation.name].parent.mkdir()
        files[mutation.name].write_text(text.replace(mutation.old, mutation.new, 1))
    result = check(folder, boards.DEFAULT_BOARD, list(files.values()))
    return {name: result[str(path)]["errors"] for name, path in files.items()}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_parser_refuses(mutated: dict[str, list[str]], mutation: Mutation) -> None:
    assert mutated["none"] == []
    assert mutation.said in "\n".join(mutated[mutation.name])


@pytest.fixture(scope="module", params=boards.names())
def parsed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the parser says of each recipe of one board, by the recipe's name; `board` is the board's."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    rendering.write(boards.load(name), folder / "rendered")
    recipes = [*(folder / "rendered").rglob("*.bb"), *STATIC.rglob("*.bb"), U_BOOT]
    result = check(folder, name, recipes)
    return {Path(path).stem.partition("_")[0]: one for path, one in result.items()} | {"board": {"name": name}}


def test_parser_accepts(parsed: dict[str, dict[str, Any]]) -> None:
    recipes = {name: one for name, one in parsed.items() if name != "board"}
    assert {name: one["errors"] for name, one in recipes.items() if one["errors"]} == {}
    expected = {"capture-image", "capture-bundle", "linux-capture", "u-boot"}
    assert {*recipes} == expected | {recipe.name for recipe in load_all()}


def test_sources_are_in_the_unpack_folder(parsed: dict[str, dict[str, Any]]) -> None:
    for recipe in load_all():
        values = parsed[recipe.name]["values"]
        assert values["S"] == values["UNPACKDIR"]


def test_overlay_names_its_source(parsed: dict[str, dict[str, Any]]) -> None:
    values = next(one["values"] for one in parsed.values() if "DT_FILES" in one.get("values", {}))
    assert values["DT_FILES"].endswith(".dtso")
    assert f"file://{values['DT_FILES']}" in values["SRC_URI"]


def test_card_is_found_and_drags_nothing_in(parsed: dict[str, dict[str, Any]]) -> None:
    values = parsed["capture-image"]["values"]
    layers = values["BBPATH"].split(":")
    assert any((Path(layer) / "files/wic" / values["WKS_FILE"]).is_file() for layer in layers)
    assert not any((Path(layer) / "wic").exists() for layer in layers)
    assert "systemd-boot" not in values["WKS_FILE_DEPENDS"]


def test_u_boot_gets_the_fragments_of_this_board_last(parsed: dict[str, dict[str, Any]]) -> None:
    values = parsed["u-boot"]["values"]
    fragments = [uri for uri in values["SRC_URI"].split() if uri.endswith(".cfg")]
    assert fragments == ["file://capture.cfg", "file://u-boot.cfg", "file://u-boot-2026.cfg"]
    assert values["UBOOT_MACHINE"] == boards.load(parsed["board"]["name"]).u_boot_defconfig


def test_kernel_gets_the_device_tree_that_mainline_lacks(parsed: dict[str, dict[str, Any]]) -> None:
    name = f"{boards.load(parsed['board']['name']).device_tree}.dts"
    sources = parsed["linux-capture"]["values"]["SRC_URI"].split()
    assert (f"file://{name}" in sources) == (paths.BOARDS / name).is_file()
