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
from firmware import lock, paths, rendering

pytestmark = pytest.mark.golden

UPSTREAM = "layers/upstream.yml"
LOCK = "layers/upstream.lock.yml"
FRAGMENTS = [f"layers/kas/{axis}.yml" for axis in ("base", "engine", "mirrors", "debug", "boards", "cve")]


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


@pytest.mark.parametrize("name", [UPSTREAM, LOCK, *FRAGMENTS])
def test_schema_accepts_what_is_committed(name: str) -> None:
    text = (paths.ROOT / name).read_text()
    accept(yaml.safe_load(text))
    assert text.startswith("# yaml-language-server: $schema=https://raw.githubusercontent.com/siemens/kas/")


@pytest.mark.parametrize("name", boards.names())
def test_schema_accepts(name: str) -> None:
    config = kas_file(name)
    accept(config)
    assert config["machine"] == name


@pytest.mark.parametrize("name", boards.names())
def test_own_layers_are_where_it_says(name: str, tmp_path: Path) -> None:
    board, relative = boards.load(name), rendering.folder(boards.load(name)).relative_to(paths.ROOT)
    rendering.write(board, tmp_path / relative)
    base = yaml.safe_load((paths.ROOT / FRAGMENTS[0]).read_text())
    parts = [part["repos"]["cyclone-capture"]["layers"] for part in (base, kas_file(name))]
    for layer in [layer for part in parts for layer in part]:
        assert any((root / layer / "conf/layer.conf").is_file() for root in (paths.ROOT, tmp_path)), layer


def merge(checkout: Path, names: list[str], fragment: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What kas makes of the boards' files and a fragment: include paths are those of the repository, it asks git."""
    subprocess.run(["/usr/bin/env", "git", "init", "--quiet", checkout], check=True)
    tops = []
    for name in names:
        board = boards.load(name)
        tops.append(checkout / rendering.folder(board).relative_to(paths.ROOT) / "yocto/kas.yml")
        rendering.write(board, tops[-1].parent.parent)
    (checkout / FRAGMENTS[0]).parent.mkdir(parents=True)
    for file in (UPSTREAM, LOCK, *FRAGMENTS):
        (checkout / file).write_text((paths.ROOT / file).read_text())
    monkeypatch.chdir(checkout)
    kas.context.create_global_context(argparse.Namespace(no_color=True))
    merged, missing = kas.includehandler.IncludeHandler([*map(str, tops), str(checkout / fragment)]).get_config()
    assert missing == []
    assert isinstance(merged, dict)
    return merged


def test_kas_follows_the_includes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged = merge(tmp_path, [boards.DEFAULT_BOARD], "layers/kas/debug.yml", monkeypatch)
    assert {*merged["repos"]} == {"bitbake", "openembedded-core", "meta-rauc", "cyclone-capture"}
    pinned = {name: repo["commit"] for name, repo in merged["overrides"]["repos"].items()}
    assert {*merged["local_conf_header"]} == {"base", "engine", "mirrors", "debug"}
    assert pinned == {layer.name: layer.commit for layer in lock.layers()}


def test_several_boards_are_one_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one's machine is the default; every board's layer is there."""
    merged = merge(tmp_path, ["de10-nano", "de0-nano-soc"], "layers/kas/boards.yml", monkeypatch)
    assert merged["machine"] == "de0-nano-soc"
    layers = {*merged["repos"]["cyclone-capture"]["layers"]}
    rendered = {f"build/{name}/rendered/yocto/meta-board" for name in ("de0-nano-soc", "de10-nano")}
    assert layers == {"layers/meta-cyclone-capture", *rendered}
    assert {"CYCLONE_CAPTURE_BOARDS", "RAUC_KEYRING_FILE"} <= {*merged["env"]}
