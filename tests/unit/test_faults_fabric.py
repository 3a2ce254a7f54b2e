# SPDX-License-Identifier: MIT
"""Faults of the fabric: what makes no sense is refused before the board is asked; the rest is set in a safe order."""

from __future__ import annotations

from typing import cast

import pytest

from firmware.emulator import Emulator
from firmware.errors import UserError
from firmware.faults import Faults, Injected

pytestmark = pytest.mark.unit


class Board:
    """Takes note of the properties that are set, and answers each question with a number of its own."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.asked: list[tuple[str, object]] = []

    def qmp(self, command: str, **arguments: object) -> int:
        """Stand in for `Emulator.qmp`."""
        self.asked.append((f"{arguments['path']}.{arguments['property']}", arguments.get("value")))
        return len(self.asked)


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def faults(board: Board) -> Faults:
    return Faults(cast(Emulator, board))


def test_senseless_values_are_refused_before_the_board_is_asked(faults: Faults, board: Board) -> None:
    with pytest.raises(UserError, match=r"bytes to drop: -4 \(valid: 0 to"):
        faults.source.drop(-4)
    with pytest.raises(UserError, match=r"bytes to drop: 6 \(valid: a multiple of 4\)"):
        faults.source.drop(6)
    with pytest.raises(UserError, match="interrupts to lose: True"):
        faults.msgdma.lose_interrupts(True)
    with pytest.raises(UserError, match="delay in nanoseconds: 3600000000001"):
        faults.msgdma.delay_interrupts(1, 3_600_000_000_001)
    with pytest.raises(UserError, match=r"error bits: 256 \(valid: 1 to 255\)"):
        faults.msgdma.fail(1, 0x100)
    with pytest.raises(UserError, match=r"bytes: 0 \(valid: 4 to"):
        faults.msgdma.shorten(1, 0)
    with pytest.raises(UserError, match=r"bytes: 10 \(valid: a multiple of 4\)"):
        faults.msgdma.shorten(1, 10)
    with pytest.raises(UserError, match="stall in nanoseconds: -1"):
        faults.copier.stall(-1)
    assert board.asked == []


def test_how_is_set_before_how_often(faults: Faults, board: Board) -> None:
    faults.msgdma.delay_interrupts(3, 1000)
    faults.msgdma.fail(2, 0x40)
    faults.copier.shorten(1, 4096)
    faults.msgdma.leave_stale(4)
    faults.source.flip(5)
    assert board.asked == [
        ("/machine/fabric/msgdma.delay-ns", 1000),
        ("/machine/fabric/msgdma.delay-interrupts", 3),
        ("/machine/fabric/msgdma.fail-bits", 0x40),
        ("/machine/fabric/msgdma.fail-descriptors", 2),
        ("/machine/fabric/copier.shorten-bytes", 4096),
        ("/machine/fabric/copier.shorten-descriptors", 1),
        ("/machine/fabric/msgdma.stale-descriptors", 4),
        ("/machine/fabric/source.flip-words", 5),
    ]


def test_what_was_injected_comes_by_name(faults: Faults, board: Board) -> None:
    assert faults.msgdma.injected() == Injected(1, 2, 3, 4, 5, 6, 7)
    assert [name.rpartition(".")[2] for name, _ in board.asked] == [
        "lost-interrupts",
        "delayed-interrupts",
        "failed-descriptors",
        "shortened-descriptors",
        "stalls",
        "stalled-ns",
        "staled-descriptors",
    ]
