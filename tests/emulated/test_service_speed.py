# SPDX-License-Identifier: MIT
"""The service's speed, as ratios of two measurements in one run: its goals. `./inv bench` records the same figures."""

from __future__ import annotations

import pytest

from firmware import bench_receive, bench_service
from firmware.choice import Choice

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

PYTHON_MOST, RECORD_LEAST, RECEIVE_LEAST, RING_MOST = 1.15, 0.95, 0.9, 0.5


@pytest.fixture
def choice() -> Choice:
    return Choice()


def test_python_costs_little_beside_the_same_loop_in_c(choice: Choice) -> None:
    found = bench_service.instructions(choice)
    print(found)
    assert 0.9 < found["python_vs_c_insn_ratio"] <= PYTHON_MOST


def test_recording_is_as_quick_as_fio_and_both_sinks_at_once_have_no_gap(choice: Choice) -> None:
    found = bench_service.recording(choice)
    print(found)
    assert found["record_vs_fio_ratio"] >= RECORD_LEAST
    assert found["stream_and_record_gaps"] == 0
    assert found["stream_and_record_ring_share"] < RING_MOST


def test_receiver_is_as_quick_as_iperf_on_the_boards_link(choice: Choice) -> None:
    found = bench_receive.receiving(choice)
    print(found)
    assert found["receive_vs_iperf_ratio"] >= RECEIVE_LEAST
