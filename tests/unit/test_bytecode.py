# SPDX-License-Identifier: MIT
"""Byte code is only made where there is Python; what does not compile stops the build. That it works: on the board."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import bytecode, payload
from firmware.errors import ToolError
from firmware.recipe import load_all
from firmware.tree import Tree

pytestmark = pytest.mark.unit


def slot() -> Tree:
    tree = Tree(0)
    tree.file("/usr/lib/captured/captured/ring.py", "x = 1\n")
    return tree


def test_slot_without_python_stays_as_it_is(tmp_path: Path) -> None:
    tree = slot()
    before = tree.digest()
    bytecode.add(tree, ["/usr/lib/captured/captured/ring.py"], tmp_path)
    assert tree.digest() == before


def test_interpreter_that_fails_stops_the_build(tmp_path: Path) -> None:
    tree = slot()
    tree.file("/usr/bin/python3.13", "no program", 0o755)
    tree.link("/usr/bin/python3", "python3.13")
    with pytest.raises(ToolError, match="qemu-arm-static"):
        bytecode.add(tree, ["/usr/lib/captured/captured/ring.py"], tmp_path)


def test_links_are_followed_to_their_end() -> None:
    tree = Tree(0)
    tree.file("/usr/lib/libz.so.1.3", "z")
    tree.link("/usr/lib/libz.so.1", "../lib/libz.so.1.3")
    tree.link("/usr/lib/libz.so", "/usr/lib/libz.so.1")
    assert bytecode._meant(tree, "/usr/lib/libz.so") == "/usr/lib/libz.so.1.3"
    assert bytecode._meant(tree, "/usr/lib/none") == "/usr/lib/none"


def test_every_module_of_a_recipe_is_compiled_and_nothing_else() -> None:
    tree = slot()
    tree.file("/usr/lib/captured/captured/page.html", "")
    tree.file("/usr/lib/captured/constants.py", "")
    tree.file("/usr/lib/python3.13/os.py", "")
    found = payload.python_files(tree, load_all())
    assert found == ["/usr/lib/captured/captured/ring.py", "/usr/lib/captured/constants.py"]
