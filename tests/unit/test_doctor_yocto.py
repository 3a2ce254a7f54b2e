# SPDX-License-Identifier: MIT
"""The doctor for the Yocto engine: each check on what it must find fault with."""

from __future__ import annotations

import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import doctor, doctor_yocto, lock, paths
from firmware.doctor import GIB
from firmware.errors import UserError

pytestmark = pytest.mark.unit

Usage = namedtuple("Usage", "total used free")
LAYER = lock.Layer("one", "https://example.org/one.git", "main", "0" * 40)


def test_root_blocks() -> None:
    assert doctor_yocto.check_user(0).verdict == "block"
    assert doctor_yocto.check_user(1000).verdict == "ok"


def test_full_disk_blocks_and_an_earlier_build_needs_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(0, 0, 20 * GIB))
    found = doctor_yocto.check_disk(tmp_path)
    assert (found.verdict, "60 GiB" in found.advice) == ("block", True)
    (tmp_path / "build/tmp").mkdir(parents=True)
    assert doctor_yocto.check_disk(tmp_path).verdict == "ok"


def test_little_memory_and_few_watches_warn() -> None:
    assert doctor_yocto.check_memory(4 * GIB).verdict == "warn"
    assert doctor_yocto.check_memory(16 * GIB).verdict == "ok"
    assert "max_user_watches=" in doctor_yocto.check_inotify(8192).advice
    assert doctor_yocto.check_inotify(1 << 20).verdict == "ok"


def test_missing_locale_blocks() -> None:
    assert doctor_yocto.check_locale(["C.UTF-8", "de_DE.utf8"]).verdict == "block"
    assert doctor_yocto.check_locale(["en_US.utf8"]).verdict == "ok"


def test_file_system_that_folds_case_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_yocto.check_case(tmp_path).verdict == "ok"
    touch = Path.touch

    def folding(self: Path, *arguments: int, **named: bool) -> None:
        touch(self)
        touch(self.with_name(self.name.upper()))

    monkeypatch.setattr(Path, "touch", folding)
    assert "does not tell a from A" in doctor_yocto.check_case(tmp_path).seen


def test_missing_tool_blocks_and_names_its_package(tmp_path: Path) -> None:
    found = doctor_yocto.check_tools(str(tmp_path))
    assert found.verdict == "block"
    assert "rpcsvc-proto" in found.advice


def test_unreachable_mirror_blocks_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAS_PREMIRRORS", rf"https://example.org/(.*) {tmp_path}/\1")
    found = doctor_yocto.check_mirrors([LAYER], doctor_yocto.reach)
    assert (found.verdict, f"{tmp_path}/one.git: no such folder" in found.seen) == ("block", True)
    assert doctor_yocto.check_mirrors([LAYER], doctor_yocto.reach, present=True).verdict == "warn"
    (tmp_path / "one.git").mkdir()
    assert doctor_yocto.check_mirrors([LAYER], doctor_yocto.reach).verdict == "ok"


def test_sstate_that_names_the_build_folder_is_found(tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("the host has no zstd")
    for name, text in (("good", "nothing"), ("leaky", "path /home/me/build/x")):
        (tmp_path / name).write_text(text)
        subprocess.run(["/usr/bin/env", "zstd", "-q", tmp_path / name, "-o", tmp_path / f"{name}.tar.zst"], check=True)
    found = doctor_yocto.check_sstate(tmp_path, "/home/me/build")
    assert (found.verdict, "leaky.tar.zst" in found.seen) == ("warn", True)
    assert doctor_yocto.check_sstate(tmp_path, "/home/you").verdict == "ok"


def test_configuration_without_what_a_board_needs_is_found(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k/.config").write_text("CONFIG_A=y\n# CONFIG_B is not set\n")
    found = doctor_yocto.check_config("kernel", tmp_path, "k/.config", {"CONFIG_A": "y", "CONFIG_B": "y"})
    assert (found.verdict, "no CONFIG_B=y" in found.seen) == ("warn", True)
    assert doctor_yocto.check_config("kernel", tmp_path, "k/.config", {"CONFIG_A": "y"}).verdict == "ok"
    assert doctor_yocto.check_config("kernel", tmp_path / "none", "**/.config", {}).seen == "none built yet"


def test_what_the_sanity_checks_want_is_what_the_fragments_set() -> None:
    """Else a sound build would be complained of."""
    fragments = "".join(path.read_text() for path in (paths.ROOT / "layers/meta-cyclone-capture").rglob("capture.cfg"))
    for symbol, value in {**doctor_yocto.KERNEL_NEEDS, **doctor_yocto.U_BOOT_NEEDS}.items():
        assert f"{symbol}={value}\n" in fragments, symbol


def test_report_fails_when_one_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="user: root"):
        doctor.require([doctor_yocto.check_user(0)])


def test_all_checks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_yocto, "reach", lambda _place: "")
    found = doctor_yocto.examine([boards.load(boards.DEFAULT_BOARD)])
    assert len({finding.name for finding in found}) == len(found) == 12
