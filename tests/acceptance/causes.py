# SPDX-License-Identifier: MIT
"""Causes: a case whose need has failed is blocked by it, not run; and so is every case once the board is lost.

    @pytest.mark.needs("test_service_answers")

names a test function; each of its parametrised cases counts. A need that was not selected or was skipped blocks
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from firmware.errors import TargetError
from firmware.ssh import Target

MARK = "blocked by "


class Causes:
    """What failed so far. `lost` is the case at which the board stopped to answer."""

    def __init__(self) -> None:
        """Nothing failed."""
        self._first: dict[str, str] = {}
        self.lost = ""

    def failed(self, name: str, lost: bool = False) -> None:
        """Case `name` failed; `lost`: because the board did not answer."""
        self._first.setdefault(name.partition("[")[0], name)
        self.lost = self.lost or (name if lost else "")

    def blocked(self, name: str, cause: str) -> None:
        """Case `name` was not run; what needs it is blocked by the same cause."""
        self._first.setdefault(name.partition("[")[0], cause)

    def cause(self, needs: Iterable[str]) -> str:
        """The failed case that stands behind one of `needs`; empty: none."""
        return next((self._first[need] for need in needs if need in self._first), "")

    def answers(self, target: Target) -> bool:
        """Whether the board can be talked to (again)."""
        if self.lost:
            try:
                target.connect()
            except TargetError:
                return False
            self.lost = ""
        return True


def needs(item: pytest.Item) -> list[str]:
    """What the case needs, by its marks, its class's and its module's."""
    return [name for mark in item.iter_markers("needs") for name in mark.args]
