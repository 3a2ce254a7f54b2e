# SPDX-License-Identifier: MIT
"""What a capture costs in guest instructions, all ways in one run: what each way adds, and the driver's own share.

`./inv bench --only=insn_per_mib_zerocopy` records the figures.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firmware import board as boards
from firmware import cost
from firmware.errors import TargetError

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

DRIVER_MOST = 20_000  # instructions a block: interrupt, wake-up, dequeue, enqueue; the goal, 6000, is not reached yet


@pytest.fixture(scope="module")
def meter() -> Iterator[cost.Meter]:
    with cost.booted(boards.load(boards.DEFAULT_BOARD)) as (machine, target):
        yield cost.Meter(machine, target)


def test_program_that_fails_is_no_measurement(meter: cost.Meter) -> None:
    with pytest.raises(TargetError, match="usage: cost read"):
        meter.run(cost.Way("sideways"), 1)


def test_what_each_way_adds_shows(meter: cost.Meter) -> None:
    """By instructions a copy is little beside the rest (docs/driver.md): so each way is held against its own next."""
    ways = (cost.FORWARD, cost.ZEROCOPY, cost.MMAP_SEND, cost.READ_SEND)
    found = {way.name: meter.per_mib(way) for way in ways}
    print({name: round(value) for name, value in found.items()})
    assert found["forward"] < found["zerocopy"]  # caches
    assert found["send"] < found["read"]  # a second copy


def test_driver_costs_little_a_block(meter: cost.Meter) -> None:
    assert 0 < meter.per_block(cost.BARE) <= DRIVER_MOST
