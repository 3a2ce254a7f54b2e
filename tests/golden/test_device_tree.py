# SPDX-License-Identifier: MIT
"""The overlay, through the device tree's own tools: dtc, fdtoverlay, and the schema of the driver's binding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import overlay, paths, tool
from firmware.errors import ToolError

pytestmark = pytest.mark.golden

BINDINGS = paths.ROOT / "recipes" / "capture-ring" / "bindings"
BOARD = boards.load(boards.DEFAULT_BOARD)
# as much of mainline's socfpga.dtsi as the overlay relies on
BASE = """
/dts-v1/;
/ {
    #address-cells = <1>;
    #size-cells = <1>;
    model = "base"; compatible = "altr,socfpga-cyclone5";
    intc: interrupt-controller@fffed000 {
        compatible = "arm,cortex-a9-gic"; #interrupt-cells = <3>; interrupt-controller; reg = <0xfffed000 0x1000>;
    };
    soc { compatible = "simple-bus"; #address-cells = <1>; #size-cells = <1>; ranges; interrupt-parent = <&intc>; };
};
"""


def variant(address: int | None = None, **fabric: object) -> boards.Board:
    """The default board with other keys in its file."""
    changed = BOARD.model_dump() | {"ring": BOARD.ring.model_dump() | {"address": address}}
    return boards.Board.model_validate(changed | {"fabric": BOARD.fabric.model_dump() | fabric})


def apply(text: str, folder: Path, base: str = BASE) -> Path:
    """Device tree blob: `base` with the overlay of source `text` applied."""
    source, blob, merged = folder / "base.dts", folder / "base.dtb", folder / "merged.dtb"
    source.write_text(base)
    tool.run(["dtc", "-@", "-q", "-I", "dts", "-O", "dtb", "-o", blob, source])
    tool.run(["fdtoverlay", "-i", blob, "-o", merged, overlay.compile_overlay(text, folder)])
    return merged


def complaints(merged: Path) -> str:
    """What dt-validate has to say against the driver's schema; empty when nothing."""
    scripts = Path(sys.executable).parent
    schema = merged.with_suffix(".json")
    schema.write_text(tool.capture([scripts / "dt-mk-schema", "-j", BINDINGS]))
    command: list[str | Path] = [scripts / "dt-validate", "-s", schema, "-l", "cyclone-capture", merged]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_schema_itself_is_sound() -> None:
    checker = Path(sys.executable).parent / "dt-doc-validate"
    command: list[str | Path] = [checker, "-u", BINDINGS, *BINDINGS.glob("*.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("cyclone-capture,blocks = <64>;", "", "'cyclone-capture,blocks' is a required property"),
        ("cyclone-capture,blocks = <64>;", "cyclone-capture,blocks = <1>;", "1 is less than the minimum of 2"),
        ("block-bytes = <0x100000>;", "block-bytes = <0x100001>;", "not a multiple of 4096"),
        ('"sysid", "source"', '"source", "sysid"', "'sysid' was expected"),
        ("interrupts = <0 40 4>;", "interrupts = <0 40 4>; dma-coherant;", "dma-coherant"),
        ("cyclone-capture,descriptor-depth = <128>;", "", "'cyclone-capture,descriptor-depth' is a required property"),
        ("interrupts = <0 40 4>;", 'interrupts = <0 40 4>; dma-names = "capture";', "does not allow"),
    ],
)
def test_broken_node_is_found(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = overlay.source(BOARD)
    assert old in text
    assert said in complaints(apply(text.replace(old, new, 1), tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('dma-names = "capture";', "", "'dma-names' is a required property"),
        ('dma-names = "capture";', 'dma-names = "rx";', "'capture' was expected"),
        ('dma-names = "capture";', 'dma-names = "capture"; cyclone-capture,queued = <17>;', "maximum of 16"),
        ('dma-names = "capture";', 'dma-names = "capture"; dma-coherent;', "does not allow"),
        ('"sysid", "source";', '"sysid", "source"; interrupts = <0 40 4>;', "does not allow"),
    ],
)
def test_broken_node_with_a_channel_is_found(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = overlay.source(variant(provider="dmaengine"))
    assert old in text
    assert said in complaints(apply(text.replace(old, new, 1), tmp_path))


@pytest.mark.parametrize(
    "fabric", [{"provider": "dmaengine"}, {"coherent": True}, {"provider": "dmaengine", "coherent": True}]
)
def test_variant_applies_and_fits_the_schema(tmp_path: Path, fabric: dict[str, object]) -> None:
    board = variant(0x20000000, **fabric)
    merged = apply(overlay.source(board), tmp_path)
    assert complaints(merged) == ""
    capture, controller = "/soc/capture@ff200000", "/soc/dma-controller@ff200100"
    coherent = controller if board.fabric.provider == "dmaengine" else capture
    assert ("dma-coherent" in tool.capture(["fdtget", "-p", merged, coherent]).split()) == board.fabric.coherent
    region = tool.capture(["fdtget", "-t", "x", merged, "/reserved-memory/capture@20000000", "reg"])
    assert region.split() == ["20000000", "4000000"]


def test_tree_without_the_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="fdtoverlay"):
        apply(overlay.source(BOARD), tmp_path, BASE.replace("soc {", "bus {"))


@pytest.mark.parametrize("name", boards.names())
def test_overlay_applies_and_fits_the_schema(tmp_path: Path, name: str) -> None:
    board = boards.load(name)
    merged = apply(overlay.source(board), tmp_path)
    assert complaints(merged) == ""
    node = f"/soc/capture@{board.fabric.sysid.address:x}"
    said = tool.capture(["fdtget", "-t", "x", merged, node, "cyclone-capture,fabric-id"])
    assert int(said, 16) == board.fabric.id


def test_compiler_has_no_warning(tmp_path: Path) -> None:
    source = tmp_path / "overlay.dtso"
    source.write_text(overlay.source(BOARD))
    command: list[str | Path] = ["/usr/bin/env", "dtc", *overlay.DTC_OPTIONS, "-o", tmp_path / "overlay.dtbo", source]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
