# SPDX-License-Identifier: MIT
"""Gates that no mutation of today's recipes can trip: patches, units, machines, licences, the card's partitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware import board as boards
from firmware import gates, gates_card, layout, names, rendering, yocto
from firmware.gates import Layers, Parsed

pytestmark = pytest.mark.unit

BOARD = boards.load(boards.DEFAULT_BOARD)


def layers(
    folder: Path, functions: dict[str, str] | None = None, tasks: dict[str, list[str]] | None = None, **values: str
) -> Layers:
    """One recipe, with these values."""
    named = {name.replace("__", ":"): value for name, value in values.items()}
    return Layers(BOARD, (Parsed(Path("one_1.0.bb"), named, functions or {}, tasks or {}),), (folder,), names.load())


def test_patch_without_its_status_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good.patch").write_text("Upstream-Status: Pending\n--- a\n")
    (tmp_path / "bad.patch").write_text("Upstream-Status:\n--- a\n")
    assert list(gates.patches(layers(tmp_path))) == [f"{tmp_path}/bad.patch: no Upstream-Status"]


def test_unit_that_is_enabled_and_not_installed_is_refused(tmp_path: Path) -> None:
    values: dict[str, Any] = {"SYSTEMD_SERVICE__one": "a.service b.service"}
    found = layers(tmp_path, {"do_install": "install x ${D}/a.service"}, **values)
    assert list(gates.units(found)) == ["one_1.0.bb: SYSTEMD_SERVICE:one: b.service is not installed"]


def test_task_behind_one_that_is_none_is_refused(tmp_path: Path) -> None:
    found = layers(tmp_path, tasks={"do_a": [], "do_b": ["do_a", "do_c"]})
    assert list(gates.tasks(found)) == ["one_1.0.bb: task do_b is after do_c, which is no task"]


def test_override_of_old_is_refused(tmp_path: Path) -> None:
    found = layers(tmp_path, RDEPENDS_one="x", RDEPENDS__one="x", FILES_SOLIBSDEV="x", FILES="x")
    assert list(gates.overrides(found)) == ["one_1.0.bb: RDEPENDS_one has no effect (valid: RDEPENDS:one)"]


def test_our_own_packages_have_the_variants_that_follow_a_rule(tmp_path: Path) -> None:
    found = layers(tmp_path, PN="one", PACKAGES="one two", RDEPENDS__one="two-dev one-doc onetwo-dev")
    assert list(gates.dependencies(found)) == ["one_1.0.bb: RDEPENDS:one: nobody provides 'onetwo-dev'"]


@pytest.mark.parametrize(("wanted", "refused"), [("^socfpga$", False), ("^rpi$", True), ("", False)])
def test_recipe_that_excludes_the_board_is_refused(tmp_path: Path, wanted: str, refused: bool) -> None:
    found = layers(tmp_path, COMPATIBLE_MACHINE=wanted, MACHINEOVERRIDES="socfpga:board")
    assert bool(list(gates.machines(found))) is refused


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"LICENSE": "MIT & GPL"}, "'GPL' is no SPDX name"),
        ({}, "no LICENSE"),
        ({"LICENSE": "MIT", "LIC_FILES_CHKSUM": "file://a.txt;md5=1"}, "has the checksum"),
        ({"LICENSE": "MIT", "LIC_FILES_CHKSUM": "file://b.txt;md5=1"}, "no b.txt among the sources"),
    ],
)
def test_licence_is_checked(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    (tmp_path / "a.txt").write_text("text")
    found = "\n".join(gates.licences(layers(tmp_path, FILESPATH=str(tmp_path), **values)))
    assert said in found


def test_licence_text_of_a_source_that_is_not_here_is_left_to_bitbake(tmp_path: Path) -> None:
    remote: dict[str, Any] = {
        "LICENSE": "MIT",
        "LIC_FILES_CHKSUM": "file://COPYING;md5=1",
        "SRC_URI": "https://example.org/a.tar",
    }
    assert list(gates.licences(layers(tmp_path, **remote))) == []


@pytest.mark.parametrize(("uri", "refused"), [("rev=main", True), (f"rev={'a' * 40}", False), ("tag=v1", True)])
def test_revision_must_be_a_commit(tmp_path: Path, uri: str, refused: bool) -> None:
    found = layers(tmp_path, S="/w", UNPACKDIR="/w", SRC_URI=f"git://example.org/a;{uri}", SRCREV="AUTOINC")
    assert bool(list(gates.sources(found))) is refused


def card(folder: Path, text: str) -> list[str]:
    (folder / "files/wic").mkdir(parents=True)
    (folder / "files/wic/x.wks.in").write_text(text)
    values: dict[str, Any] = {
        "WKS_FILE": "x.wks.in",
        "WKS_FILE_DEPENDS": "wic-native",
        "UBOOT_BINARY": "u-boot-with-spl.sfp",
    }
    return list(gates_card.card(layers(folder, IMAGE_INSTALL="captured", **values)))


def test_card_with_other_partitions_than_the_layout_is_refused(tmp_path: Path) -> None:
    assert card(tmp_path, "part --source rawcopy\n") == [
        f"x.wks.in: 1 partitions (valid: the {len(layout.PARTITIONS)} of firmware/layout.py)"
    ]


def test_rendered_card_is_accepted_and_each_of_its_numbers_counts(tmp_path: Path) -> None:
    text = rendering.render_all(BOARD, "yocto")[f"{yocto.LAYER}/files/wic/{BOARD.name}.wks.in"]
    assert card(tmp_path / "good", text) == []
    words = [word for word in text.split() if word[:-1].isdigit() and word.endswith("K")]
    assert len(words) == 2 * len(layout.PARTITIONS)
    for n, word in enumerate(words):
        assert card(tmp_path / str(n), text.replace(f" {word}", " 7K", 1)) != []


def test_card_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    found = layers(tmp_path, IMAGE_INSTALL="captured", WKS_FILE="x.wks.in", WKS_FILE_DEPENDS="wic-native")
    assert list(gates_card.card(found)) == ["one_1.0.bb: WKS_FILE: no files/wic/x.wks.in in any layer"]
