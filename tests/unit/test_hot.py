# SPDX-License-Identifier: MIT
"""The hot path: what cannot be pushed is refused; what is pushed is what a build would install."""

from __future__ import annotations

import io
import subprocess
import tarfile

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
