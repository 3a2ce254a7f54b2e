# SPDX-License-Identifier: MIT
"""Fit: slots whose parts do not belong together, each in one way, and what is said; a slot whose parts do passes."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import fit, flat_tree, recipe
from firmware.errors import UserError
from firmware.fit import Slot
from tests.unit import fitting_slot
from tests.unit.fitting_slot import BASE, CAPTURE, DRIVER, RELEASE, USED, VERMAGIC, compiled, kernel, overlay_of

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("dtc") is None, reason="no dtc on this host"),
]


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Slot:
    return fitting_slot.make(tmp_path_factory.mktemp("overlay"))


def changed(slot: Slot, path: str, content: bytes) -> Slot:
    return replace(slot, files={**slot.files, path: content})


def said(slot: Slot, compatible: str = "cyclone-capture-sockit") -> str:
    return "\n".join(fit.check(slot, compatible))


def test_programs_are_those_that_the_recipes_install() -> None:
    places = {file.to for each in recipe.load_all() for file in each.files}
    assert places >= set(fit.PROGRAMS)


@pytest.mark.parametrize("path", fit.NEEDED)
def test_part_that_is_missing(slot: Slot, path: str) -> None:
    files = {name: content for name, content in slot.files.items() if name != path}
    assert said(replace(slot, files=files)) == f"{path} is not in the slot (valid: one made by ./inv build)"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"board": "sockit", "kernel": "6", "fabric_id": "x"}'])
def test_release_file_that_says_nothing(slot: Slot, content: bytes) -> None:
    assert "valid: board, kernel and fabric_id" in said(changed(slot, fit.RELEASE, content))


@pytest.mark.parametrize("path", [fit.TREE, fit.OVERLAY])
def test_tree_that_is_none(slot: Slot, path: str) -> None:
    whole = slot.files[path]
    for content in (b"", b"\0" * 40, whole[:-4], whole[:56] + b"\xff" * 8 + whole[64:]):
        assert "device tree" in said(changed(slot, path, content))


def test_kernel_of_another_release(slot: Slot) -> None:
    other = changed(slot, fit.KERNEL, kernel("6.12.2-capture"))
    assert said(other) == f"/boot/zImage is 6.12.2-capture (valid: the release file's, {RELEASE})"


def test_file_that_is_no_kernel(slot: Slot) -> None:
    assert "/boot/zImage is no kernel" in said(changed(slot, fit.KERNEL, b"no kernel"))


@pytest.mark.parametrize("vermagic", ["6.12.2-capture SMP mod_unload ARMv7 p2v8 ", VERMAGIC + "preempt ", ""])
def test_module_for_another_kernel(slot: Slot, vermagic: str) -> None:
    module = f"\x7fELF\0vermagic={vermagic}\0".encode() if vermagic else b"\x7fELF"
    assert re.search(
        r"vermagic is .*not the kernel's .valid: built against 6.12.1", said(changed(slot, DRIVER, module))
    )


@pytest.mark.parametrize("releases", [(), ("6.12.0",), (RELEASE, "6.12.0")])
def test_modules_of_another_kernel(slot: Slot, releases: tuple[str, ...]) -> None:
    assert f"(valid: {RELEASE} alone)" in said(replace(slot, releases=releases))


def test_driver_that_is_missing(slot: Slot) -> None:
    files = {name: content for name, content in slot.files.items() if name != DRIVER}
    assert said(replace(slot, files=files)) == f"{DRIVER} is not in the slot (valid: the driver for this kernel)"


@pytest.mark.parametrize(
    ("target", "reg", "wrong"),
    [
        ("target = <&base_fpga>", "0xff200000 8", "label 'base_fpga' is not in the device tree"),
        ('target-path = "/soc/base_fpga_region"', "0xff200000 8", "path '/soc/base_fpga_region' is not in the device"),
        ('target-path = "/soc"', "0xff1ff000 8", "window 0xff1ff000 of 8 bytes .valid: 0xff200000 to 0xff400000"),
        ('target-path = "/soc"', "0xff3ffff0 0x20", "window 0xff3ffff0 of 32 bytes"),
        (
            'target-path = "/soc"',
            "0xff200000 0x40 0xff200020 8",
            "windows 0xff200000 of .* and 0xff200020 of .* overlap",
        ),
        (
            'target-path = "/soc"',
            "0xff200100 8",
            "window 0xff200100 of .*capture@ff200000 is that of /soc/serial@ff200100",
        ),
    ],
)
def test_overlay_that_does_not_fit_the_tree(slot: Slot, target: str, reg: str, wrong: str) -> None:
    other = changed(slot, fit.OVERLAY, overlay_of(target, CAPTURE.replace("REG", reg)))
    other = changed(other, fit.TREE, compiled(BASE.replace("MORE", USED)))
    assert re.search(f"^overlay: .*{wrong}", said(other), re.MULTILINE), said(other)


def test_fabric_of_another_id(slot: Slot) -> None:
    other = changed(slot, fit.OVERLAY, overlay_of('target-path = "/soc"', CAPTURE.replace("REG", "0xff200000 8")))
    release = {**json.loads(slot.files[fit.RELEASE]), "fabric_id": 0xCC5A0002}
    other = changed(other, fit.RELEASE, json.dumps(release).encode())
    assert "overlay: fabric id 0xcc5a0001 (valid: the release file's, 0xcc5a0002)" in said(other)
    assert "/boot/fabric.rbf is for fabric id" in said(other)


def test_overlay_without_a_fabric_id(slot: Slot) -> None:
    bare = overlay_of('target-path = "/soc"', "capture@ff200000 { reg = <0xff200000 8>; };")
    assert "overlay: fabric id none" in said(changed(slot, fit.OVERLAY, bare))


def test_bitstream_of_ones_own_is_left_to_the_driver(slot: Slot) -> None:
    assert said(changed(slot, fit.FABRIC, bytes(1 << 16))) == ""


def test_bundle_for_another_board(slot: Slot) -> None:
    assert said(slot, "cyclone-capture-de10-nano") == (
        "the bundle is for cyclone-capture-de10-nano (valid: cyclone-capture-sockit, the release file's board)"
    )


def test_settings_of_another_board(slot: Slot) -> None:
    other = slot.files[fit.RAUC].replace(b"sockit", b"de10-nano")
    assert "system.conf is for cyclone-capture-de10-nano" in said(changed(slot, fit.RAUC, other))
    assert "system.conf is for no board" in said(changed(slot, fit.RAUC, b""))


def test_device_tree_of_another_chip(slot: Slot) -> None:
    other = BASE.replace("MORE", "").replace("altr,socfpga-cyclone5", "altr,socfpga-arria10")
    assert "valid: a altr,socfpga-cyclone5" in said(changed(slot, fit.TREE, compiled(other)))


def test_all_that_is_wrong_is_said_at_once(slot: Slot, tmp_path: Path) -> None:
    broken = changed(changed(slot, fit.KERNEL, b"x"), fit.RAUC, b"x")
    fitting_slot.write(broken, tmp_path / "rootfs.ext4", tmp_path)
    with pytest.raises(UserError, match=r"parts do not fit each other:(.|\n)*zImage is no kernel(.|\n)*for no board"):
        fit.require(tmp_path / "rootfs.ext4", "cyclone-capture-sockit")


def test_slot_whose_parts_fit(slot: Slot, tmp_path: Path) -> None:
    assert said(slot) == ""
    fitting_slot.write(slot, tmp_path / "rootfs.ext4", tmp_path)
    assert Slot.read(tmp_path / "rootfs.ext4") == slot
    fit.require(tmp_path / "rootfs.ext4", "cyclone-capture-sockit")


def test_tree_is_parsed_as_it_was_written() -> None:
    tree = flat_tree.parse(compiled('/dts-v1/; / { a = "x", "y"; n@1 { reg = <1 2>; empty; }; };'))
    assert flat_tree.texts(tree["/"]["a"]) == ["x", "y"]
    assert flat_tree.cells(tree["/n@1"]["reg"]) == [1, 2]
    assert tree["/n@1"]["empty"] == b""
