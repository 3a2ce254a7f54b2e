# SPDX-License-Identifier: MIT
"""Board files: wrong input first, each error names file, key, value and what is valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from firmware import board, paths
from firmware.errors import UserError

pytestmark = pytest.mark.unit


def write(folder: Path, change: dict[str, object]) -> Path:
    """Write a copy of the default board's file as `x1.yaml`, dotted keys of `change` replaced."""
    raw = yaml.safe_load((paths.BOARDS / f"{board.DEFAULT_BOARD}.yaml").read_text())
    raw["name"] = "x1"
    for dotted, value in change.items():
        *parents, leaf = dotted.split(".")
        place = raw
        for parent in parents:
            place = place[parent]
        place[leaf] = value
    path = folder / "x1.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, r"colour: unknown key \(valid: name, title"),
        ({"fabric.msgdma.csrr": 1}, r"fabric\.msgdma\.csrr: unknown key \(valid: csr, descriptor"),
        ({"ring.block_bytes": 65537}, r"ring\.block_bytes: 0x10001 \(65537\) is not valid: .*multiple of 4096"),
        ({"ring.block_bytes": 4096}, r"ring\.block_bytes: .*greater than or equal to 65536"),
        ({"ring.blocks": 1}, r"ring\.blocks: .*greater than or equal to 2"),
        ({"ring.blocks": "64"}, r"ring\.blocks: '64' is not valid: .*integer"),
        ({"ring.blocks": 1024}, r"valid: at most a quarter of memory, 268435456"),
        ({"fabric.source.offset": 0x200000}, r"fabric\.source\.offset: 0x200000 .*less than 2097152"),
        ({"fabric.source.offset": 0x1FFFFC}, r"source ends at 0x20003c, outside the bridge \(valid: up to 0x200000\)"),
        ({"fabric.source.offset": 0x110}, r"msgdma\.csr \[0x100, 0x120\) overlaps source \[0x110, 0x150\)"),
        ({"fabric.source.offset": 0x42}, r"fabric\.source\.offset: 0x42 .*multiple of 4"),
        ({"fabric.source.bytes": 0x24}, r"fabric: source\.bytes is 0x24 \(valid: 0x28 or more"),
        ({"fabric.sysid.bytes": 4}, r"fabric: sysid\.bytes is 0x4 \(valid: 0x8 or more"),
        ({"fabric": None}, r"fabric: None is not valid: keys and values \(valid: id, sysid, source"),
        ({"memory_bytes": "1GiB"}, r"memory_bytes: '1GiB' is not valid: .*without a unit or quotes"),
        ({"fabric.msgdma.interrupt": 64}, r"fabric\.msgdma\.interrupt: 0x40 .*less than 64"),
        ({"fabric.msgdma.csr.bytes": 0x10}, r"fabric\.msgdma: csr\.bytes is 0x10 \(valid: 0x20, as the core has it\)"),
        ({"fabric.copier.speed": 1}, r"fabric\.copier\.speed: unknown key \(valid: csr, descriptor"),
        ({"fabric.copier.interrupt": 0}, r"fabric: copier\.interrupt is 0, that of msgdma \(valid: another one\)"),
        ({"fabric.copier.csr.offset": 0x110}, r"msgdma\.csr \[0x100, 0x120\) overlaps copier\.csr \[0x110, 0x130\)"),
        ({"fpga": "5CSEMA5"}, r"fpga: '5CSEMA5' is not valid: .*'5CSEMA4', '5CSEBA6' or '5CSXFC6'"),
        ({"fabric.provider": "pl330"}, r"fabric\.provider: 'pl330' is not valid: .*'msgdma' or 'dmaengine'"),
        ({"fabric.coherent": "yes"}, r"fabric\.coherent: 'yes' is not valid: .*boolean"),
        ({"ring.address": 0x1000000}, r"ring\.address: 0x1000000 .*greater than or equal to 268435456"),
        ({"ring.address": 0x20001000}, r"ring\.address: 0x20001000 .*multiple of 1048576"),
        ({"ring.address": 0x2F000000}, r"ring\.address: the ring ends at 0x33000000 \(valid: up to 0x2f800000\)"),
        ({"accelerometer_i2c": 4}, r"accelerometer_i2c: 0x4 .*less than or equal to 3"),
        ({"hawkbit": {}}, r"hawkbit\.server: missing key"),
        ({"hawkbit": {"server": "https://h.example.org"}}, r"hawkbit\.server: 'https://h\.example\.org' is not valid"),
        ({"hawkbit": {"server": "h", "address": "h"}}, r"hawkbit\.address: 'h' is not valid"),
        ({"hawkbit": {"server": "h", "token": "S3CRET"}}, r"hawkbit\.token: .*'target' or 'gateway'"),
        ({"hawkbit": {"server": "h", "secret": "x"}}, r"hawkbit\.secret: unknown key \(valid: server, address, tenant"),
        ({"name": "other"}, r"name: 'other' is not the file's name \(valid: 'x1'\)"),
    ],
)
def test_bad_value_is_named_with_what_is_valid(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = write(tmp_path, change)
    with pytest.raises(UserError, match=said) as caught:
        board.load("x1", tmp_path)
    assert str(path) in str(caught.value)


def test_missing_key_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, {})
    path.write_text(path.read_text().replace("title:", "#"))
    with pytest.raises(UserError, match="title: missing key"):
        board.load("x1", tmp_path)


def test_unknown_board_lists_the_known(tmp_path: Path) -> None:
    write(tmp_path, {})
    with pytest.raises(UserError, match=r"unknown board 'x2' \(valid: x1\)"):
        board.load("x2", tmp_path)


def test_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {})
    path.write_text(path.read_text() + "ring: {block_bytes: 0x200000, blocks: 4}\n")
    with pytest.raises(UserError, match=r"x1\.yaml: no valid YAML: key 'ring' twice"):
        board.load("x1", tmp_path)


@pytest.mark.parametrize("text", ["a: [1,", "- 1\n", "", "\x00"])
def test_broken_yaml_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "x1.yaml").write_text(text)
    with pytest.raises(UserError, match=r"x1\.yaml: "):
        board.load("x1", tmp_path)


@pytest.mark.parametrize("name", board.names())
def test_shipped_board_loads_frozen(name: str) -> None:
    loaded = board.load(name)
    assert loaded.fabric.msgdma.csr.address >= board.BRIDGE_BASE
    with pytest.raises(ValueError, match="frozen"):
        loaded.name = "other"  # type: ignore[misc]


def test_board_without_a_copier_has_none() -> None:
    assert board.load("sockit").fabric.copier is None
    assert "copier.csr" not in board.load("sockit").fabric.windows()
    assert board.load(board.DEFAULT_BOARD).fabric.copier is not None


def test_the_three_boards_are_shipped() -> None:
    assert board.names() == ["de0-nano-soc", "de10-nano", "sockit"]
