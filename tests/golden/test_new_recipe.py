# SPDX-License-Identifier: MIT
"""A component is added by adding a folder: docs/new-recipe.md as it stands, in both engines; its mistakes first."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from firmware import base, lint, lock, paths, payload, rendering, yocto
from firmware import board as boards
from firmware.errors import UserError
from firmware.recipe import Recipe, for_board, load_all
from firmware.tree import Tree
from tests.golden import tier_one

pytestmark = pytest.mark.golden

PAGE = paths.ROOT / "docs" / "new-recipe.md"
BOARD = boards.load(boards.DEFAULT_BOARD)


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's recipes and the page's; what is rendered is rendered from them."""
    folder = tmp_path / "recipes"
    shutil.copytree(paths.ROOT / "recipes", folder, symlinks=True)
    found = re.findall(r"^`recipes/(\S+)`\n\n```\w*\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 3
    for name, text in found:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(rendering, "for_board", lambda board, engine: for_board(board, engine, folder))
    return folder


def change(recipes: Path, old: str, new: str) -> None:
    path = recipes / "blinker" / "recipe.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: files", "kind: [files", r"blinker/recipe\.yaml: no valid YAML"),
        (
            "kind: files",
            "kind: file",
            r"blinker/recipe\.yaml: kind: 'file' is not valid: .*'kernel-module', 'overlay' or",
        ),
        (
            "kind: files",
            "kindness: files",
            r"blinker/recipe\.yaml: kind: missing key\n.*kindness: unknown key \(valid: name, summary",
        ),
        ("from: blinker,", "from: blinke,", r"recipes/blinker/recipe\.yaml: files: no .*/blinke \(valid: "),
        (
            "python3-core",
            "python3-cor",
            r"blinker/recipe\.yaml: packages\.yocto: nobody provides 'python3-cor' \(.*core",
        ),
        (", captured]", ", capture]", r"blinker/recipe\.yaml: packages\.yocto: nobody provides 'capture' \(valid: "),
    ],
)
def test_mistake_is_one_error_before_anything_is_written(
    recipes: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    change(recipes, old, new)
    with pytest.raises(UserError, match=said):
        rendering.write(BOARD, tmp_path / "rendered")
    assert not (tmp_path / "rendered").exists()


@pytest.mark.parametrize("commit", ["main", "38da0e5", "38DA0E5866A953E664001BA90B5EDAD68D68CD5D", ""])
def test_bad_revision_of_a_layer_is_one_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    shutil.copytree(paths.ROOT / "layers", tmp_path / "layers", ignore=shutil.ignore_patterns("meta-*"))
    path = tmp_path / "layers" / lock.LOCK
    path.write_text(re.sub("(meta-rauc:\n      commit:) .*", rf"\1 '{commit}'", path.read_text()))
    monkeypatch.setattr(lock.layers, "__defaults__", (tmp_path / "layers",))
    with pytest.raises(UserError, match=rf"upstream\.lock\.yml: meta-rauc: commit '{commit}' is none \(valid: 40 hex"):
        rendering.write(BOARD, tmp_path / "rendered")
    assert not (tmp_path / "rendered").exists()


def blinker(recipes: Path) -> Recipe:
    return next(recipe for recipe in load_all(recipes) if recipe.name == "blinker")


def test_debian_engine_picks_it_up(recipes: Path) -> None:
    known = load_all(recipes)
    tree = Tree(epoch=0)
    payload.add_recipe(tree, BOARD, blinker(recipes), known)
    assert {"/usr/bin/blinker", "/usr/lib/systemd/system/blinker.service"} <= {*tree.below("/usr")}
    assert "blinker.service" in payload.wanted_units(known)
    assert "python3" in base.packages([blinker(recipes)])


def test_yocto_engine_picks_it_up(recipes: Path, tmp_path: Path) -> None:
    tree = tier_one.plant(tmp_path / "tree", BOARD.name)
    (tmp_path / "tree" / "recipes").unlink()
    (tmp_path / "tree" / "recipes").symlink_to(recipes)
    image = (tree.folder / "rendered" / yocto.LAYER / "recipes-capture/images/capture-image.bb").read_text()
    assert "    blinker \\\n" in image
    parsed = tier_one.parse({"one": tree}, tmp_path)["one"]
    (made,) = (path for path in parsed if path.endswith("recipes-capture/blinker/blinker_1.0.bb"))
    assert [said for one in parsed.values() for said in one["errors"]] == []
    assert parsed[made]["values"]["RDEPENDS:blinker"].split() == ["captured", "python3-core"]
    assert tree.violations(parsed) == []
    assert lint.findings([Path(made)]) == []
