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

DRIVER_MOST = 13_000  # instructions a block: interrupt, wake-up, dequeue, enqueue; the goal, 6000, is not reached yet
NET_MOST = 0.1  # what zero copy adds to the network's own cost, to what read() and send() add


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


def test_zero_copy_adds_a_tenth_of_what_read_and_send_add(meter: cost.Meter) -> None:
    """Each less what the network costs alone, with its kind of send; the network is most of the whole."""
    zerocopy = meter.per_mib(cost.FORWARD) - meter.per_mib(cost.NETWORK)
    read_send = meter.per_mib(cost.READ_SEND) - meter.per_mib(cost.NETWORK_COPY)
    assert zerocopy <= NET_MOST * read_send


def test_driver_costs_little_a_block(meter: cost.Meter) -> None:
    assert 0 < meter.per_block(cost.BARE) <= DRIVER_MOST
