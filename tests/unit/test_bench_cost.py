# SPDX-License-Identifier: MIT
"""Ratios among the figures of one run."""

from __future__ import annotations

import pytest

from firmware import bench_cost

pytestmark = pytest.mark.unit

FOUND = {
    "insn_per_mib_read_send": 5000.0,
    "insn_per_mib_zerocopy": 4500.0,
    "insn_per_mib_forward_only": 4050.0,
    "insn_per_mib_network": 4000.0,
    "insn_per_mib_network_copy": 4200.0,
}


def test_missing_figure_is_an_error() -> None:
    with pytest.raises(KeyError):
        bench_cost.ratios({})


def test_ratios_whole_and_net() -> None:
    assert bench_cost.ratios(FOUND) == {
        "insn_ratio_zerocopy": 0.9,
        "insn_ratio_forward_only": 0.81,
        "insn_ratio_forward_only_net": 50 / 800,
    }


def test_each_figure_of_a_measurement_is_declared() -> None:
    group = next(group for group in bench_cost.GROUPS if "insn_per_mib_read_send" in group.figures)
    assert set(bench_cost.MIB_WAYS) | set(bench_cost.ratios(FOUND)) | {"insn_per_block_overhead"} == set(group.figures)
