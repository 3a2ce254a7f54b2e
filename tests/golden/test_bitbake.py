# SPDX-License-Identifier: MIT
"""Every recipe of every board, rendered or static, through BitBake's own parser and the gates.

What the parser must refuse is in `test_mutations.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from firmware import accounts, paths, release
from firmware import board as boards
from firmware.recipe import for_board, load_all
from tests.golden import tier_one

pytestmark = pytest.mark.golden


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """What parser and gates say of each board's recipes, by the board's name."""
    folder = tmp_path_factory.mktemp("boards")
    trees = {name: tier_one.plant(folder / name, name) for name in boards.names()}
    parsed = tier_one.parse(trees, folder)
    return {name: (parsed[name], tree.violations(parsed[name])) for name, tree in trees.items()}


@pytest.fixture(params=boards.names())
def parsed(request: pytest.FixtureRequest, every: dict[str, tuple[dict[str, Any], list[str]]]) -> dict[str, Any]:
    """What the parser says of each recipe of one board, by the recipe's name; `board` is the board's."""
    recipes = {Path(path).stem.partition("_")[0]: one for path, one in every[request.param][0].items()}
    return recipes | {"board": {"name": request.param}}


@pytest.mark.parametrize("name", boards.names())
def test_gates_accept(name: str, every: dict[str, tuple[dict[str, Any], list[str]]]) -> None:
    assert every[name][1] == []


def test_parser_accepts(parsed: dict[str, dict[str, Any]]) -> None:
    recipes = {name: one for name, one in parsed.items() if name != "board"}
    assert {name: one["errors"] for name, one in recipes.items() if one["errors"]} == {}
    expected = {"capture-image", "capture-bundle", "linux-capture", "u-boot"}
    assert {*recipes} == expected | {recipe.name for recipe in for_board(boards.load(parsed["board"]["name"]))}


def test_sources_are_in_the_unpack_folder(parsed: dict[str, dict[str, Any]]) -> None:
    for recipe in for_board(boards.load(parsed["board"]["name"])):
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


def test_u_boots_configuration_is_asserted_and_the_slot_carries_it(parsed: dict[str, dict[str, Any]]) -> None:
    """Both come by a class that is inherited for these boards only."""
    u_boot = parsed["u-boot"]
    assert {"do_assert_config", "do_boot_loader"} <= {*u_boot["functions"]}
    assert f"${{DEPLOYDIR}}/{release.U_BOOT_CONFIG}" in u_boot["functions"]["do_deploy"]
    assert "u-boot-capture" in u_boot["values"]["PACKAGES"].split()
    assert "u-boot-capture" in parsed["capture-image"]["values"]["IMAGE_INSTALL"].split()


def test_people_are_in_the_groups_of_the_debian_engine(parsed: dict[str, dict[str, Any]]) -> None:
    said = parsed["capture-image"]["values"]["EXTRA_USERS_PARAMS"]
    found = {words[-1]: words for line in said.split(";") if (words := line.split())}
    ours = accounts.groups(user for known in load_all() for user in known.users)
    for name, number, wanted in (
        (accounts.OPERATOR, accounts.OPERATOR_ID, ours),
        (accounts.ENGINEER, accounts.ENGINEER_ID, [accounts.JOURNAL, *ours]),
    ):
        words = found[name]
        assert words[words.index("--uid") + 1] == str(number)
        assert words[words.index("--groups") + 1].split(",") == wanted


def test_system_users_have_the_numbers_of_the_debian_engine(parsed: dict[str, dict[str, Any]]) -> None:
    for known in load_all():
        for user in known.users:
            words = parsed[known.name]["values"][f"USERADD_PARAM:{known.name}"].split()
            assert words[words.index("--uid") + 1] == str(accounts.number(user.name))


def test_kernel_gets_the_device_tree_that_mainline_lacks(parsed: dict[str, dict[str, Any]]) -> None:
    name = f"{boards.load(parsed['board']['name']).device_tree}.dts"
    sources = parsed["linux-capture"]["values"]["SRC_URI"].split()
    assert (f"file://{name}" in sources) == (paths.BOARDS / name).is_file()


def test_debug_fragment_adds_the_kernels_debug_configuration(tmp_path: Path) -> None:
    tree = tier_one.plant(tmp_path / "tree", boards.DEFAULT_BOARD)
    fragment = yaml.safe_load((paths.ROOT / release.DEBUG).read_text())["local_conf_header"]["debug"]
    (machine,) = tree.layers[1].glob("conf/machine/*.conf")
    machine.write_text(machine.read_text() + fragment)
    parsed = tier_one.parse({"debug": tree}, tmp_path)["debug"]
    (kernel,) = (one["values"] for path, one in parsed.items() if "linux-capture" in path)
    fragments = [uri for uri in kernel["SRC_URI"].split() if uri.endswith(".cfg")]
    assert fragments == ["file://capture.cfg", "file://debug.cfg"]
