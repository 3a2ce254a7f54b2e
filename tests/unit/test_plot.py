# SPDX-License-Identifier: MIT
"""Plots: nothing received is no crash, and all bytes are in the bins."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from firmware import plot
from firmware.receiver import Reception

pytestmark = pytest.mark.unit


def reception(*arrivals: float, seconds: float, filled: tuple[float, ...] = ()) -> Reception:
    """A whole reception with one MiB at each arrival."""
    count = len(arrivals)
    return Reception(count << 20, count, 0, 0, 0, 0, 0, 0, 0, True, seconds, arrivals, filled or arrivals)


def drawn(text: str) -> str:
    """All text of a drawing, which is well-formed SVG."""
    root = ElementTree.fromstring(text)  # noqa: S314  # our own text
    assert root.tag.endswith("svg")
    return " ".join(root.itertext())


def test_nothing_received_is_drawn_as_nothing() -> None:
    empty = reception(seconds=0.0)
    assert plot.bins(empty, 4) == [0, 0, 0, 0]
    drawn(plot.throughput(empty))
    drawn(plot.latency(empty))
    drawn(plot.occupancy([], 16))


def test_each_block_lands_in_the_bin_of_its_arrival() -> None:
    assert plot.bins(reception(0.0, 0.5, 1.9, 2.0, seconds=2.0), 2) == [2.0, 2.0]


def test_throughput_says_the_mean() -> None:
    assert "mean: 1.5 MiB/s" in drawn(plot.throughput(reception(0.0, 1.0, 2.0, seconds=2.0)))


def test_latency_is_more_than_the_quickest_blocks() -> None:
    seen = reception(0.0, 1.5, 2.25, seconds=2.25, filled=(0.0, 1.0, 2.0))
    assert plot.latencies(seen) == [0.0, 0.5, 0.25]
    assert "median 250 ms, most 500 ms" in drawn(plot.latency(seen))


def test_occupancy_says_the_most() -> None:
    assert "at most 5 of 16" in drawn(plot.occupancy([(0.0, 1), (0.5, 5), (1.0, 2)], 16))
