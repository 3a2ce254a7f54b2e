# SPDX-License-Identifier: MIT
"""What an upgrade of one changed line costs: bytes over the link, and time against RAUC alone, on one board."""

from __future__ import annotations

import pytest

from firmware import bench_streaming
from firmware.choice import Choice

pytestmark = [pytest.mark.emulated, pytest.mark.slow]
SHARE, RATIO = 0.10, 1.3  # at most


def test_one_changed_line_is_a_small_upgrade() -> None:
    found = bench_streaming.streaming(Choice())
    print(f"\n    {found}")
    assert found["adaptive_bytes_share"] <= SHARE
    assert found["deploy_vs_rauc_ratio"] <= RATIO
