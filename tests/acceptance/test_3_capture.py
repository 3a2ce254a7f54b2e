# SPDX-License-Identifier: MIT
"""Samples from the FPGA's DMA, over TCP: without a copy, without a gap, and with every loss said."""

from __future__ import annotations

import socket

import pytest

from firmware import admission
from tests.acceptance.under_test import UnderTest

pytestmark = pytest.mark.acceptance

MIB = 1 << 20


def test_one_gibibyte_of_counter_arrives_without_a_gap_and_without_a_copy(unit: UnderTest) -> None:
    before = unit.status()
    seen = unit.capture(pattern="counter", rate=0, total=1024 * MIB)
    after = unit.status()
    assert seen.bytes == 1024 * MIB
    assert seen.whole, str(seen)
    assert after["completions"] > before["completions"]
    assert after["copied"] == before["copied"]
    assert after["plain_bytes"] == before["plain_bytes"]
    if unit.console is None:  # an emulated board's speed is its host's
        unit.note("MiB/s", round(seen.bytes / MIB / seen.seconds, 1))


def test_prbs31_arrives_without_a_gap(unit: UnderTest) -> None:
    seen = unit.capture(pattern="prbs31", rate=0, total=64 * MIB)
    assert seen.bytes == 64 * MIB
    assert seen.whole, str(seen)


def test_steady_rate_loses_nothing(unit: UnderTest) -> None:
    seen = unit.capture(pattern="counter", rate=2_000_000, total=16 * MIB)
    assert seen.bytes == 16 * MIB
    assert seen.whole, str(seen)


def test_overload_is_counted_and_damages_nothing(unit: UnderTest) -> None:
    """What the board counts may be more than what is seen missing: its last loss may lie behind the last block."""
    seen = unit.capture(pattern="counter", rate=2_000_000_000, total=256 * MIB)
    assert (seen.bytes, seen.corrupt, seen.sequence_breaks, seen.ended) == (256 * MIB, 0, 0, True)
    assert seen.gaps > 0
    assert seen.lost_bytes >= seen.missing_bytes > 0


def test_service_survives_a_dropped_client(unit: UnderTest) -> None:
    identity = unit.output("systemctl", "show", "-P", "MainPID", "captured")
    admission.admit(unit.target)
    with socket.create_connection(unit.stream, timeout=30) as client:
        unit.wait_for_clients(1)
        unit.control("start", pattern="counter", rate=0, bytes=512 * MIB)
        assert len(client.makefile("rb").read(65536)) == 65536
    unit.wait_for_clients(0)
    unit.wait_until_idle()
    seen = unit.capture(pattern="counter", rate=0, total=32 * MIB)
    assert seen.bytes == 32 * MIB
    assert seen.whole, str(seen)
    assert unit.output("systemctl", "show", "-P", "MainPID", "captured") == identity


def test_kernel_log_still_holds_no_error(unit: UnderTest) -> None:
    assert unit.output("dmesg", "--level=emerg,alert,crit,err", sudo=True).strip() == ""
