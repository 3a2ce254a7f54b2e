# SPDX-License-Identifier: MIT
"""The kas files against kas: its own schema, and its own loader that follows the includes."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kas  # type: ignore[import-untyped]
import kas.context  # type: ignore[import-untyped]
import kas.includehandler  # type: ignore[import-untyped]
import pytest
import yaml

from firmware import board as boards
from firmware import paths, rendering

pytestmark = pytest.mark.golden

UPSTREAM = "layers/upstream.yml"


def kas_file(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load(rendering.render_all(boards.load(name), "yocto")["yocto/kas.yml"])
    assert isinstance(loaded, dict)
    return loaded


def accept(config: dict[str, Any]) -> None:
    jsonschema.validate(config, kas.CONFIGSCHEMA)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machin": "x"}, "'machin' was unexpected"),
        ({"header": {}}, "'version' is a required property"),
        ({"env": {"DL_DIR": 1}}, "1 is not of type"),
        ({"repos": {"a": {"layers": {"x": "y"}}}}, "'y' is not"),
    ],
)
def test_schema_refuses(change: dict[str, Any], said: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=said):
        accept({**kas_file(boards.DEFAULT_BOARD), **change})


def test_schema_accepts_the_upstream_layers() -> None:
    config = yaml.safe_load((paths.ROOT / UPSTREAM).read_text())
    accept(config)
    assert all(len(repo["commit"]) == 40 for repo in config["repos"].values())


@pytest.mark.parametrize("name", boards.names())
def test_schema_accepts(name: str) -> None:
    config = kas_file(name)
    accept(config)
    assert config["machine"] == name


@pytest.mark.parametrize("name", boards.names())
def test_own_layers_are_where_it_says(name: str, tmp_path: Path) -> None:
    board, relative = boards.load(name), rendering.folder(boards.load(name)).relative_to(paths.ROOT)
    rendering.write(board, tmp_path / relative)
    for layer in kas_file(name)["repos"]["cyclone-capture"]["layers"]:
        assert any((root / layer / "conf/layer.conf").is_file() for root in (paths.ROOT, tmp_path)), layer


def test_kas_follows_the_includes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a scratch checkout: kas takes include paths from the top of the repository, which it asks git for."""
    board = boards.load(boards.DEFAULT_BOARD)
    subprocess.run(["/usr/bin/env", "git", "init", "--quiet", tmp_path], check=True)
    top = tmp_path / rendering.folder(board).relative_to(paths.ROOT) / "yocto/kas.yml"
    rendering.write(board, top.parent.parent)
    (tmp_path / UPSTREAM).parent.mkdir()
    (tmp_path / UPSTREAM).write_text((paths.ROOT / UPSTREAM).read_text())
    monkeypatch.chdir(tmp_path)
    kas.context.create_global_context(argparse.Namespace(no_color=True))
    merged, missing = kas.includehandler.IncludeHandler([str(top)]).get_config()
    assert missing == []
    assert {*merged["repos"]} == {"bitbake", "openembedded-core", "meta-rauc", "cyclone-capture"}
