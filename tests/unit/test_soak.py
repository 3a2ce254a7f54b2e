# SPDX-License-Identifier: MIT
"""The last line of the long capture's program, and what may go wrong meanwhile."""

from __future__ import annotations

import random
from typing import cast

import pytest

from firmware import soak
from firmware.faults import Faults

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("line", ["", "capture bytes=1 wrong=0", "bytes=1"])
def test_line_without_the_sums_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no sums in"):
        soak.parse(line)


def test_sums_are_read() -> None:
    assert soak.parse("all bytes=4096 wrong=4 unaccounted=0") == {"bytes": 4096, "wrong": 4, "unaccounted": 0}


class Recorder:
    """Takes every call, and remembers it."""

    def __init__(self) -> None:
        """No call yet."""
        self.calls: list[tuple[str, tuple[int, ...]]] = []

    def __getattr__(self, name: str) -> object:
        """Any method."""
        return lambda *arguments: self.calls.append((name, arguments))


class FakeFaults:
    """As much of Faults as is used."""

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self.msgdma, self.source = Recorder(), Recorder()


def test_each_fault_has_its_turn_and_the_seed_decides() -> None:
    one, other = FakeFaults(), FakeFaults()
    for fake in (one, other):
        chance = random.Random(1)  # noqa: S311  # to be made again
        for wrong in soak.wrongs(cast(Faults, fake), chance):
            wrong()
    assert [name for name, _ in one.msgdma.calls] == ["lose_interrupts", "delay_interrupts", "fail", "shorten", "stall"]
    assert [name for name, _ in one.source.calls] == ["drop"]
    assert one.msgdma.calls == other.msgdma.calls


def test_healing_forgets_every_fault() -> None:
    fake = FakeFaults()
    soak.heal(cast(Faults, fake))
    assert {name for name, _ in fake.msgdma.calls} == {
        "lose_interrupts",
        "delay_interrupts",
        "fail",
        "shorten",
        "stall",
    }
    assert fake.source.calls == [("drop", (0,))]
