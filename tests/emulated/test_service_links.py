# SPDX-License-Identifier: MIT
"""Gigabytes of the capture stream over bad links: frames lost both ways, and acknowledgements that come late.

What is sent again is read from the ring's pages once more, long after it was sent first. A block that had gone back to
the hardware by then would hold other words, and the receiver looks at each.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firmware import receiver
from firmware.faults_network import Network
from tests.emulated.conftest import Linux
from tests.emulated.service_board import capturing, control, wait_for

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

SIZE = 2 << 30
BLOCK = 1 << 20


def lossy(network: Network) -> None:
    """One frame of a thousand is lost, each way."""
    network.lose(sent=1, received=1, seed=7)


def late(network: Network) -> None:
    """Each acknowledgement is 20 ms under way, and none is joined with another."""
    network.merge_acks(False)
    network.delay(20_000)


def resent(linux: Linux) -> int:
    return int(linux.target.output(["nstat", "-az", "TcpRetransSegs"]).split()[-2])


@pytest.mark.parametrize("link", [lossy, late])
def test_gigabytes_arrive_whole_and_without_a_copy_over_a_bad_link(
    linux: Linux, link: Callable[[Network], None]
) -> None:
    wait_for(linux, '"open": true')
    network, before = linux.faults.network, control(linux, "status")
    lost, again = network.lost, resent(linux)
    start = capturing(linux, "start", size=SIZE, rate="0")

    def begin() -> None:
        start()
        link(network)

    try:
        seen = receiver.receive(*linux.stream, pattern="counter", connected=begin)
    finally:
        network.heal()
    wait_for(linux, '"state": "idle"')
    now = control(linux, "status")
    print(f"{link.__name__}: {seen}; frames lost {network.lost}, segments sent again {resent(linux) - again}")
    assert seen.whole, str(seen)
    assert seen.bytes == SIZE
    assert now["copied"] == before["copied"], "zero copy to the end"
    assert now["plain_bytes"] == before["plain_bytes"]
    assert now["blocks_sent"] - before["blocks_sent"] >= SIZE // BLOCK
    assert now["ring"]["blocks_user"] == 0, "every block came back"
    if link is lossy:
        assert network.lost[0] > lost[0]
        assert resent(linux) > again
