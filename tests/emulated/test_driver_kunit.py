# SPDX-License-Identifier: MIT
"""The driver's KUnit tests (recipes/capture-ring/kunit): state machine, memory, losses, scatter-gather builder.

They run in the image's kernel on the emulated board, as modules (kunit_module.py), and tell their results in the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import kernel
from tests.emulated import kunit_module
from tests.emulated.conftest import Linux
from tests.emulated.kernel_module import loaded

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

RESULT = re.compile(r"\] +(ok|not ok) \d+ (\w+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def modules(linux: Linux) -> Iterator[Path]:
    """The tests' module; KUnit itself is loaded."""
    folder = kunit_module.build(kernel.build(linux.board))
    with loaded(linux.target, folder / kunit_module.KUNIT, "enable=1"):
        yield folder / kunit_module.TESTS


def results(linux: Linux, module: Path, *parameters: str) -> tuple[dict[str, str], str]:
    """What became of each test, and the whole log."""
    linux.target.output(["dmesg", "--clear"], sudo=True)
    with loaded(linux.target, module, *parameters):
        said = linux.target.output(["dmesg"], sudo=True)
    return {name: result for result, name in RESULT.findall(said)}, said


def test_failure_is_told(linux: Linux, modules: Path) -> None:
    found, said = results(linux, modules, "fail=1")
    assert found["one_is_two"] == "not ok", said
    assert "Expected 1 == 2" in said


def test_all_pass(linux: Linux, modules: Path) -> None:
    sources = "".join(path.read_text() for path in (kunit_module.RECIPE / "kunit").glob("*_test.c"))
    names = re.findall(r"KUNIT_CASE\((\w+)\)", sources)
    found, said = results(linux, modules)
    assert found == dict.fromkeys(names, "ok"), said
    assert not re.search(r"WARNING|BUG|Oops|Call trace", said), said
    print(f"\n{len(found)} KUnit tests")
