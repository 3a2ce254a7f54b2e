# SPDX-License-Identifier: MIT
"""The hot path: what cannot be pushed is refused; what is pushed is what a build would install."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import pytest

from firmware import board, hot, recipe
from firmware.errors import UserError

pytestmark = pytest.mark.unit

RECIPES = recipe.load_all()


@pytest.mark.parametrize("name", ["nope", "fpga-overlay"])
def test_what_cannot_be_pushed_is_refused_with_what_can(name: str) -> None:
    with pytest.raises(UserError, match=r"cannot be pushed \(valid: .*capture-ring, captured, "):
        hot.find(name, RECIPES)


def test_archive_holds_each_file_where_the_slot_has_it() -> None:
    wanted = hot.find("captured", RECIPES)
    packed = hot.archive(hot.contents(board.load("sockit"), wanted, RECIPES))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = set(tar.getnames())
        constants = tar.extractfile("usr/lib/captured/constants.py")
        assert constants is not None
        assert b'BOARD = "sockit"' in constants.read()
    for over in hot.mounts(wanted):
        assert any(name == over.lstrip("/") or name.startswith(over.lstrip("/") + "/") for name in names), over


def test_archive_is_the_same_twice() -> None:
    wanted = hot.find("captured", RECIPES)
    files = hot.contents(board.load("sockit"), wanted, RECIPES)
    assert hot.archive(files) == hot.archive(dict(reversed(files.items())))


def test_script_is_valid_shell_that_restarts_the_units() -> None:
    wanted = hot.find("captured", RECIPES)
    text = hot.script(wanted)
    subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=True)
    assert text.splitlines()[-1] == "systemctl restart captured.service"


def test_script_looks_for_its_own_overlays_only() -> None:
    text = hot.script(hot.find("captured", RECIPES))
    line = next(line for line in text.splitlines() if "/proc/mounts |" in line)
    command = line.partition("$(")[2].rpartition("); do")[0].replace("/proc/mounts", "")
    said = "hot-captured /usr/lib/sysctl.d overlay ro 0 0\nhot-captured /usr/lib overlay ro 0 0\n"
    said += "hot-other /usr/bin overlay ro 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
    done = subprocess.run(["/bin/sh", "-c", command], input=said, text=True, check=True, capture_output=True)
    assert done.stdout == "/usr/lib\n/usr/lib/sysctl.d\n", "the last one first"


def test_byte_code_is_the_slots_where_nothing_changed_and_made_anew_elsewhere(tmp_path: Path) -> None:
    place, slot = tmp_path / "hot", tmp_path / "slot"
    for folder in (place, Path(f"{place}{slot}"), slot):
        folder.mkdir(parents=True)
    for name, text in (("same", "x = 1\n"), ("changed", "x = 2\n"), ("new", "x = 3\n")):
        Path(f"{place}{slot}/{name}.py").write_text(text)
        if name != "new":
            (slot / f"{name}.py").write_text("x = 1\n")
    (slot / "__pycache__").mkdir()
    for name in ("same", "changed"):
        Path(cache_from_source(str(slot / f"{name}.py"))).write_bytes(b"the slot's")
    subprocess.run([sys.executable, "-c", hot.COMPILE, str(place)], check=True)
    found = {name: Path(cache_from_source(f"{place}{slot}/{name}.py")).read_bytes() for name in ("same", "changed")}
    assert found["same"] == b"the slot's"
    assert found["changed"][:4] == MAGIC_NUMBER
    code = [sys.executable, "-c", "import new; print(new.x, new.__cached__)"]
    Path(f"{place}{slot}/new.py").write_text("x = 'not looked at'\n")
    done = subprocess.run(code, cwd=f"{place}{slot}", capture_output=True, text=True, check=True)
    assert done.stdout.startswith("3 "), "the byte code is used without a look at the source"
    Path(f"{place}{slot}/new.py").write_text("x = (\n")
    again = [sys.executable, "-c", hot.COMPILE, str(place)]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode != 0, "what does not compile is not put into effect"
