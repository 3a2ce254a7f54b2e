# SPDX-License-Identifier: MIT
"""The functions of `capture_verity.bbclass`: the same hash tree, bit for bit, as `veritysetup` makes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from firmware import ext4, layout, verity
from firmware.tree import Tree
from tests.golden import bbclass

pytestmark = pytest.mark.golden
CLASS = bbclass.CLASSES / "capture_verity.bbclass"


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    """The class's plain Python functions, by name."""
    return bbclass.functions("capture_verity")


@pytest.mark.parametrize("content", [b"", bytes(8192), bytes(1080) + b"\x53\xef" + bytes(8192)])
def test_what_is_no_slot_is_refused(functions: dict[str, Any], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    said = functions["verity_add"](str(tmp_path / "x"))
    assert said == f"{tmp_path / 'x'} holds no ext4 file system with blocks of 4096 bytes"
    assert (tmp_path / "x").read_bytes() == content


@pytest.mark.parametrize("mebibytes", [2, 66])  # trees of two and of three levels
def test_both_engines_make_the_same(functions: dict[str, Any], tmp_path: Path, mebibytes: int) -> None:
    content = Tree(1_700_000_000)
    content.file("/noise", random.Random(1).randbytes(1 << 20))  # noqa: S311  # content of no meaning
    for name in "ab":
        ext4.make(content, tmp_path / name, mebibytes << 20, "slot", "seed", tmp_path)
    verity.add(tmp_path / "a")
    assert functions["verity_add"](str(tmp_path / "b")) == ""
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert verity.faults(tmp_path / "b") == ""
    again = shutil.copy(tmp_path / "b", tmp_path / "c")
    assert functions["verity_add"](str(again)) == ""
    assert (tmp_path / "c").read_bytes() == (tmp_path / "b").read_bytes()


def test_both_engines_mark_a_slot_in_the_same_way() -> None:
    text = CLASS.read_text(encoding="utf-8")
    assert f'echo "{verity.MARK_TEXT.strip()}" > "${{IMAGE_ROOTFS}}{layout.VERITY_MARK}"' in text
