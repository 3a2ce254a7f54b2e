# SPDX-License-Identifier: MIT
"""Exit statuses of `./inv`: who must act, Ctrl-C of its own, and a bug is a traceback (docs/upgrade.md)."""

from __future__ import annotations

import re

import pytest
from invoke.exceptions import Exit

import tasks
from firmware import paths
from firmware.errors import TargetError, ToolError, UserError
from firmware.ssh import Late, Unreachable

pytestmark = pytest.mark.unit
STATUSES = [
    (UserError("no bundle x"), 2),
    (ToolError(["rauc", "extract"], 1, "tail"), 3),
    (TargetError("board-7", "not installed"), 4),
    (Unreachable("board-7", "refuses the connection"), 4),
    (Late("board-7", "did not end"), 4),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "status"), STATUSES)
def test_who_must_act(error: BaseException, status: int) -> None:
    def body() -> None:
        raise error

    with pytest.raises(Exit) as caught:
        tasks.guarded(body)()
    assert caught.value.code == status
    assert str(error) in str(caught.value)


def test_bug_stays_a_traceback() -> None:
    def body() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        tasks.guarded(body)()


def test_page_has_them_all() -> None:
    page = (paths.ROOT / "docs/upgrade.md").read_text(encoding="utf-8")
    table = page.split("| exit status | means |")[1].split("\n\n")[0]
    assert {int(found) for found in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {0} | {n for _, n in STATUSES}
