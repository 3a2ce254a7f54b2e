# SPDX-License-Identifier: MIT
"""The kernel: fragments that must take effect, flavours, device trees."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path

import pytest

from firmware import board, cross, device_tree, kconfig, kernel, paths, progress, render
from firmware.errors import UserError

pytestmark = pytest.mark.unit

CONFIG = 'CONFIG_A=y\nCONFIG_B=m\nCONFIG_NAME="x"\nCONFIG_SIZE=0x10000\n# CONFIG_OFF is not set\n'


def test_every_lost_symbol_is_named_with_its_fragment() -> None:
    fragments = {"capture.cfg": "CONFIG_A=y\nCONFIG_B=y\nCONFIG_GONE=y\n", "debug.cfg": "# CONFIG_A is not set\n"}
    with pytest.raises(UserError) as caught:
        kconfig.require("kernel", CONFIG, fragments)
    text = str(caught.value)
    assert "CONFIG_B: capture.cfg wants y, the result is m" in text
    assert "CONFIG_GONE: capture.cfg wants y, the result is is not set" in text
    assert "CONFIG_A: debug.cfg wants is not set, the result is y" in text


@pytest.mark.parametrize(
    "line", ["CONFIG_NAME=x", "CONFIG_SIZE=0x1000", "CONFIG_OFF=m", "CONFIG_A=m", "# CONFIG_B is not set"]
)
def test_a_different_value_is_lost(line: str) -> None:
    assert len(kconfig.lost(CONFIG, {"f": line})) == 1


@pytest.mark.parametrize(
    "line",
    [
        "CONFIG_A=y",
        'CONFIG_NAME="x"',
        "CONFIG_SIZE=65536",
        "# CONFIG_OFF is not set",
        "# CONFIG_NEVER is not set",
        "# CONFIG_A",
    ],
)
def test_what_took_effect_is_not_lost(line: str) -> None:
    assert kconfig.lost(CONFIG, {"f": line}) == []


def test_a_later_fragment_wins() -> None:
    assert kconfig.lost(CONFIG, {"one": "# CONFIG_A is not set\n", "two": "CONFIG_A=y\n"}) == []
    assert kconfig.parse(kconfig.merge(CONFIG, ["# CONFIG_A is not set", "CONFIG_B=y"]))["CONFIG_B"] == "y"


def test_unknown_flavour() -> None:
    with pytest.raises(UserError, match=r"'fast'.*release, debug"):
        kernel.fragments("fast")


def test_the_fragments_hold_nothing_but_symbols_and_comments() -> None:
    for name, text in kernel.fragments("debug").items():
        for line in text.splitlines():
            about_symbol = "CONFIG_" in line and not line.startswith("# CONFIG_")
            assert not line or line.startswith("#") or kconfig.parse(line), f"{name}: {line}"
            assert not about_symbol or kconfig.parse(line), f"{name}: {line}"


def test_a_device_tree_that_nobody_has_names_the_valid_ones(tmp_path: Path) -> None:
    folder = tmp_path / "linux" / device_tree.FOLDER
    folder.mkdir(parents=True)
    (folder / "socfpga_cyclone5_sockit.dts").touch()
    other = board.load("sockit").model_copy(update={"device_tree": "socfpga_cyclone5_none"})
    with pytest.raises(UserError, match=r"'socfpga_cyclone5_none'.*valid: socfpga_cyclone5_sockit, or a file"):
        device_tree.source(other, tmp_path / "linux", tmp_path)


def test_the_boards_own_device_tree_wins(tmp_path: Path) -> None:
    folder = tmp_path / "linux" / device_tree.FOLDER
    folder.mkdir(parents=True)
    sockit = board.load("sockit")
    mainline = folder / f"{sockit.device_tree}.dts"
    mainline.touch()
    assert device_tree.source(sockit, tmp_path / "linux", tmp_path) == mainline
    own = tmp_path / f"{sockit.device_tree}.dts"
    own.touch()
    assert device_tree.source(sockit, tmp_path / "linux", tmp_path) == own


def test_the_banner_tells_nothing_of_this_machine() -> None:
    assert kernel.fixed(0)["KBUILD_BUILD_TIMESTAMP"] == "Thu Jan 01 00:00:00 UTC 1970"


def test_progress_counts_objects_not_chatter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "build.log"
    assert progress.count(log) == 0
    log.write_text("make: Entering directory\n  CC      a.o\n  AS      b.o\nwarning:   CC x\n  HOSTCC  c\n")
    assert progress.count(log) == 3
    said = threading.Event()

    class Screen(io.StringIO):
        def write(self, text: str) -> int:
            said.set()
            return super().write(text)

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.watch("linux", log, every=0.001):
        assert said.wait(10)
    assert "linux: 3 objects" in screen.getvalue()


@pytest.mark.parametrize(
    ("text", "said"), [(None, "begun"), ("", "begun"), ("I: a\nI: installing packages...\n", "installing packages")]
)
def test_progress_of_a_program_that_tells_what_it_does(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "log").write_text(text)
    assert progress.last_line(tmp_path / "log") == said


def test_what_else_the_host_has_stays_out_of_the_configuration(tmp_path: Path) -> None:
    command = cross.command(tmp_path, tmp_path / "out")
    assert {"RUSTC=no-rustc", "PAHOLE=no-pahole"} <= set(command)


def test_bundle_formats_that_rauc_takes_can_be_mapped_by_the_kernel() -> None:
    """Seen on a board: `crypt` was in the list, and "Failed to load dm table: Invalid argument" was the answer."""
    formats = render.text("update/system.conf.j2", board.load(board.DEFAULT_BOARD)).split("bundle-formats=")[1]
    needs = {"verity": ["DM_VERITY"], "crypt": ["DM_VERITY", "DM_CRYPT", "CRYPTO_AES", "CRYPTO_CBC"]}
    have = kconfig.parse(
        (paths.ROOT / "layers/meta-cyclone-capture/recipes-kernel/linux/files/capture.cfg").read_text(encoding="utf-8")
    )
    assert {have.get(f"CONFIG_{name}") for form in formats.split("\n")[0].split() for name in needs[form]} == {"y"}
