# SPDX-License-Identifier: MIT
# ruff: noqa: D102, D107  # stand-ins: their names say what they do
"""Sinks are bounded, each with its own policy: one that is slow never slows the others, and nothing is lost unsaid."""

from __future__ import annotations

import pytest
from captured import capture, record
from captured.capture import Captures, Order
from captured.sink import DISCONNECT, GAP, WAIT, WINDOW, Lease, Sink

from tests.unit.fake_ring import FakeRing

pytestmark = pytest.mark.unit
BLOCK = 4096


class Hand(Sink):
    """Keeps what it is given until the test lets go."""

    def __init__(self, policy: str, quick: bool = False) -> None:
        super().__init__(policy, policy)
        self.kept: list[Lease] = []
        self.headers: list[record.Header] = []
        self.quick = quick
        self.ended = ""

    @property
    def open(self) -> bool:
        return not self.ended

    def take(self, lease: Lease) -> None:
        self.headers.append(lease.header)
        assert record.unpack(lease.packed) == lease.header
        if self.quick:
            lease.release()
        else:
            self.kept.append(lease)

    def end(self, reason: str) -> None:
        self.ended = reason
        self.free()

    def free(self) -> None:
        while self.kept:
            self.kept.pop().release()

    @property
    def data(self) -> list[record.Header]:
        return [header for header in self.headers if not header.flags & record.FLAG_END]


class Desk:
    """Captures over sinks, and a clock that the test turns."""

    def __init__(self, *sinks: Hand, blocks: int = 8, budget: int = 0) -> None:
        self.ring = FakeRing(BLOCK, blocks)
        self.hands = list(sinks)
        self.now = 0
        self.captures = Captures(self.ring, [self], clock=lambda: self.now, budget=budget)

    def sinks(self) -> list[Sink]:
        return [hand for hand in self.hands if hand.open]

    def pump(self, times: int = 100) -> None:
        for _ in range(times):
            self.captures.pump()


@pytest.fixture
def quick() -> Hand:
    return Hand(GAP, quick=True)


def told(hand: Hand) -> int:
    """Bytes that its records say are lost."""
    return sum(header.lost_bytes for header in hand.data)


@pytest.mark.parametrize("policy", [GAP, WINDOW])
def test_stalled_sink_gets_a_gap_and_the_other_everything(quick: Hand, policy: str) -> None:
    slow = Hand(policy)
    desk = Desk(slow, quick)
    desk.captures.start(Order("counter", 1000, 1000 * BLOCK))
    desk.pump(2000)
    assert len(quick.data) == 1000, "the stalled sink did not hold it up"
    assert [header.sequence for header in quick.data] == list(range(1000))
    assert told(quick) == 0
    assert slow.held == slow.limit == 3, "its share: 8 blocks less 2 of the hardware, divided by two"
    assert slow.dropped_bytes == 997 * BLOCK
    end = slow.headers[-1]
    assert (end.sequence, end.lost_bytes) == (1000, 997 * BLOCK), "what it did not get is in its end record"
    assert end.flags == record.FLAG_END | record.FLAG_GAP
    assert quick.headers[-1].lost_bytes == 0


def test_gap_is_told_with_the_next_record_and_sums_agree(quick: Hand) -> None:
    slow = Hand(GAP)
    desk = Desk(slow, quick)
    desk.captures.start(Order("counter", 1000, 100 * BLOCK))
    for _ in range(200):
        desk.captures.pump()
        if len(quick.data) >= 50:
            slow.free()
    slow.free()
    behind_gap = [header for header in slow.data if header.flags & record.FLAG_GAP]
    assert behind_gap
    before = -1
    for header in slow.data:
        assert header.lost_bytes == (header.sequence - before - 1) * BLOCK
        before = header.sequence
    assert slow.headers[-1].lost_bytes + len(slow.data) * BLOCK == 100 * BLOCK


def test_window_policy_gives_whole_windows_between_gaps(quick: Hand) -> None:
    slow = Hand(WINDOW)
    desk = Desk(slow, quick)
    desk.captures.start(Order("counter", 1000))
    desk.ring.paused = True
    desk.pump()
    first = len(slow.data)
    slow.kept.pop().release()
    desk.ring.paused = False
    desk.ring.fill()
    desk.pump(3)
    assert len(slow.data) == first, "room for one is not enough: first it lets go of everything"
    slow.free()
    desk.pump(3)
    assert len(slow.data) > first


def test_disconnect_policy_ends_the_sink_and_frees_its_blocks(quick: Hand) -> None:
    slow = Hand(DISCONNECT)
    desk = Desk(slow, quick)
    desk.captures.start(Order("counter", 1000, 100 * BLOCK))
    desk.pump(200)
    assert "too slow" in slow.ended
    assert slow.held == 0
    assert len(quick.data) == 100


def test_wait_policy_holds_the_source_back_and_loses_nothing(quick: Hand) -> None:
    slow = Hand(WAIT)
    desk = Desk(slow, quick)
    desk.captures.start(Order("counter", 0, 100 * BLOCK))
    desk.now = 10**12
    desk.pump(200)
    assert len(quick.data) == slow.limit
    while len(slow.data) < 100:
        slow.free()
        desk.pump()
    assert [header.sequence for header in slow.data] == list(range(100))
    assert (slow.dropped_bytes, slow.gaps) == (0, 0)


def test_at_rate_0_a_sink_is_waited_for_a_moment_and_then_passed_by(quick: Hand) -> None:
    slow = Hand(GAP)
    desk = Desk(slow, quick)
    desk.captures.start(Order("counter", 0))
    desk.pump()
    assert len(quick.data) == slow.limit
    assert desk.captures.patience == pytest.approx(capture.GRACE_SECONDS)
    assert desk.captures.held_back
    desk.now += int(capture.GRACE_SECONDS * 1e9) - 1
    desk.pump()
    assert len(quick.data) == slow.limit
    desk.now += 1
    desk.pump()
    assert len(quick.data) >= 50, "it is behind: not waited for any more"
    assert slow.behind
    slow.free()
    assert not slow.behind, "it has caught up"


def test_sole_sink_is_never_passed_by(quick: Hand) -> None:
    only = Hand(GAP)
    desk = Desk(only)
    desk.captures.start(Order("counter", 1000, 100 * BLOCK))
    desk.now = 10**12
    while desk.captures.running:
        desk.pump(3)
        assert only.held <= only.limit
        only.free()
    assert [header.sequence for header in only.data] == list(range(100))


def test_no_sink_has_more_than_its_share_however_many_there_are() -> None:
    hands = [Hand(GAP) for _ in range(5)]
    desk = Desk(*hands, blocks=16)
    desk.captures.start(Order("counter", 1000))
    desk.pump()
    assert [hand.held for hand in hands] == [2] * 5, "(16 - 4) // 5"
    desk = Desk(Hand(GAP), blocks=16, budget=4)
    desk.captures.start(Order("counter", 1000))
    desk.pump()
    assert desk.hands[0].held == 4, "the configuration's budget"


def test_stop_delivers_what_was_filled_to_every_sink_that_is_not_behind() -> None:
    only = Hand(GAP)
    desk = Desk(only)
    desk.captures.start(Order("counter", 0))
    desk.pump()
    assert only.held < 8
    desk.captures.stop()
    assert only.held == 8
    assert only.headers[-1].flags == record.FLAG_END


def test_blocks_of_a_ring_that_went_away_are_not_given_to_the_next() -> None:
    only = Hand(GAP)
    desk = Desk(only)
    desk.captures.start(Order("counter", 0))
    desk.pump()
    new = FakeRing(BLOCK, 8)
    desk.captures.change_ring(new)
    assert only.headers[-1].flags & record.FLAG_END
    desk.captures.start(Order("counter", 0, BLOCK))
    only.free()
    desk.captures.pump()
    desk.captures.give_back()  # FakeRing.enqueue fails if a block comes that it did not hand out
    assert desk.captures.tally.capture == 2


def test_grace_is_each_sinks_own_and_a_slow_one_costs_the_others_a_tenth_at_most(quick: Hand) -> None:
    slow, fresh = Hand(GAP), Hand(GAP, quick=True)
    desk = Desk(slow, fresh, quick, blocks=16)
    desk.captures.start(Order("counter", 0))
    waited = 0
    for _ in range(2000):  # 10 ms each: the slow one lets go of one block every 150 ms
        desk.now += 10_000_000
        if desk.now % 150_000_000 == 0 and slow.kept:
            slow.kept.pop(0).release()
        before = len(quick.data)
        desk.captures.pump()
        waited += len(quick.data) == before
    assert waited * 0.01 <= 0.2 + 20 * capture.GRACE_SHARE * 1.2, "of 20 seconds"
    assert (quick.gaps, fresh.gaps) == (0, 0)
    assert slow.gaps > 0
