# SPDX-License-Identifier: MIT
"""Options that all tests share, and the order of the suites: what is quick and explains most comes first."""

from __future__ import annotations

import pytest

SUITES = ("unit", "golden", "emulated", "acceptance")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/expected anew from what is rendered now, instead of comparing",
    )
    parser.addoption("--slow", action="store_true", help="run the slow tier as well: ./inv check --slow")
    board = parser.getgroup("board under test (tests/acceptance)")
    board.addoption("--board", help="its name; default: the default board")
    board.addoption("--engine", help="the engine that made its image; default: debian")
    board.addoption("--host", help="[user@]name[:port] of a real board")
    board.addoption("--mib", type=int, default=1024, help="size of the long capture; default: 1024")
    board.addoption("--console", metavar="FILE", help="log of a real board's console, where somebody records it")
    board.addoption(
        "--place", metavar="FILE", help="use the board that another test has put on (tests/acceptance/place.py)"
    )
    board.addoption("--report", metavar="STEM", help="write the verdict to STEM.json and its page to STEM.html")
    board.addoption(
        "--attached",
        action="store_true",
        help="use --host, or the emulated board of ./inv emulate, and the image as built; "
        "without it: build, and start an emulated board of the tests' own",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow and not config.getoption("--slow"):
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]

    def place(item: pytest.Item) -> int:
        marks = [name for name in SUITES if item.get_closest_marker(name)]
        return SUITES.index(marks[0]) if marks else 0

    items.sort(key=place)
