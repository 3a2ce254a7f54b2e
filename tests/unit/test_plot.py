# SPDX-License-Identifier: MIT
"""Plots: nothing received is no crash, and all bytes are in the bins."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from firmware import plot
from firmware.receiver import Reception

pytestmark = pytest.mark.unit


def reception(*arrivals: float, seconds: float) -> Reception:
    """A whole reception with one MiB at each arrival."""
    count = len(arrivals)
    return Reception(count << 20, count, 0, 0, 0, 0, 0, 0, 0, True, seconds, arrivals)


def test_nothing_received_is_drawn_as_nothing() -> None:
    empty = reception(seconds=0.0)
    assert plot.bins(empty, 4) == [0, 0, 0, 0]
    ElementTree.fromstring(plot.throughput(empty))  # noqa: S314  # our own text


def test_each_block_lands_in_the_bin_of_its_arrival() -> None:
    assert plot.bins(reception(0.0, 0.5, 1.9, 2.0, seconds=2.0), 2) == [2.0, 2.0]


def test_plot_is_well_formed_and_says_the_mean() -> None:
    text = plot.throughput(reception(0.0, 1.0, 2.0, seconds=2.0))
    assert "mean: 1.5" in text
    assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314  # our own text
