# SPDX-License-Identifier: MIT
"""Samples from the FPGA's DMA, over TCP: without a copy, without a gap, and with every loss said."""

from __future__ import annotations

import hashlib
import shlex
import socket
from collections.abc import Callable

import numpy as np
import pytest

from firmware import admission, receiver
from tests.acceptance.under_test import COMMAND_SECONDS, UnderTest

pytestmark = pytest.mark.acceptance

MIB = 1 << 20
CAPTURES = pytest.mark.needs("test_driver_is_bound_through_the_overlay", "test_service_answers")


@pytest.fixture
def scaled(long_mib: int) -> Callable[[int], int]:
    """Bytes of a capture that has so many MiB beside a long one of 1 GiB; a shorter --mib makes all shorter."""
    return lambda mib: max(4, mib * min(long_mib, 1024) // 1024) * MIB


def counter_sha256(total: int) -> str:
    """SHA-256 of the first `total` bytes of the counter pattern."""
    return hashlib.sha256(np.arange(total // 4, dtype="<u4").tobytes()).hexdigest()


@pytest.mark.promise("zero copy")
@CAPTURES
def test_long_capture_arrives_without_a_gap_and_without_a_copy(unit: UnderTest, long_mib: int) -> None:
    """1 GiB, or what --mib says."""
    before = unit.status()
    seen = unit.capture(pattern="counter", rate=0, total=long_mib * MIB)
    after = unit.status()
    assert seen.bytes == long_mib * MIB
    assert seen.whole, str(seen)
    assert after["completions"] > before["completions"]
    assert after["copied"] == before["copied"]
    assert after["plain_bytes"] == before["plain_bytes"]
    if not unit.emulated:  # an emulated board's speed is its host's
        unit.recorder.measure("stream", seen.bytes / MIB / seen.seconds, "MiB/s", better="higher")


@pytest.mark.promise("integrity")
@CAPTURES
def test_prbs31_arrives_without_a_gap(unit: UnderTest, scaled: Callable[[int], int]) -> None:
    seen = unit.capture(pattern="prbs31", rate=0, total=scaled(64))
    assert seen.bytes == scaled(64)
    assert seen.whole, str(seen)


@pytest.mark.promise("gaps")
@CAPTURES
def test_steady_rate_loses_nothing(unit: UnderTest, scaled: Callable[[int], int]) -> None:
    seen = unit.capture(pattern="counter", rate=2_000_000, total=scaled(16))
    assert seen.bytes == scaled(16)
    assert seen.whole, str(seen)


@pytest.mark.promise("gaps")
@CAPTURES
def test_overload_is_counted_and_damages_nothing(unit: UnderTest, scaled: Callable[[int], int]) -> None:
    """What the board counts may be more than what is seen missing: its last loss may lie behind the last block."""
    seen = unit.capture(pattern="counter", rate=2_000_000_000, total=scaled(256))
    assert (seen.bytes, seen.corrupt, seen.sequence_breaks, seen.ended) == (scaled(256), 0, 0, True)
    assert seen.gaps > 0
    assert seen.lost_bytes >= seen.missing_bytes > 0


@pytest.mark.promise("service")
@CAPTURES
def test_service_survives_a_dropped_client(unit: UnderTest, scaled: Callable[[int], int]) -> None:
    identity = unit.output("systemctl", "show", "-P", "MainPID", "captured")
    admission.admit(unit.target)
    with socket.create_connection(unit.stream, timeout=COMMAND_SECONDS) as client:
        unit.wait_for_clients(1)
        unit.control("start", pattern="counter", rate=0, bytes=scaled(512))
        assert len(client.makefile("rb").read(65536)) == 65536
    unit.wait_for_clients(0)
    unit.wait_until_idle()
    seen = unit.capture(pattern="counter", rate=0, total=scaled(32))
    assert seen.bytes == scaled(32)
    assert seen.whole, str(seen)
    assert unit.output("systemctl", "show", "-P", "MainPID", "captured") == identity


@pytest.mark.promise("recording")
@CAPTURES
@pytest.mark.needs("test_data_partition_keeps_what_is_written")
def test_recording_beside_a_reader_is_whole_and_the_same(unit: UnderTest, scaled: Callable[[int], int]) -> None:
    """Both sinks get the same blocks; the file's hash is that of the samples, which the reader has checked."""
    name, total = "acceptance", scaled(32)

    def record() -> None:
        unit.wait_for_clients(1)
        unit.control("record", "--start", name=name, pattern="counter", rate=2_000_000, bytes=total)

    admission.admit(unit.target)
    folder = f"/data/captured/recordings/{name}*"
    try:
        with unit.recorder.step("stream and record"):
            seen = receiver.receive(*unit.stream, pattern="counter", connected=record)
        assert seen.whole, str(seen)
        unit.wait_until_idle()
        said = unit.output("sh", "-c", f"cd /data/captured/recordings && cat {name}*.sigmf-data | sha256sum", sudo=True)
        assert said.split()[0] == counter_sha256(total)
    finally:
        unit.output("sh", "-c", f"rm -f {folder}", sudo=True)


@pytest.mark.promise("gaps")
@pytest.mark.needs("test_steady_rate_loses_nothing")
def test_pressure_of_all_kinds_at_once_makes_no_gap(unit: UnderTest, scaled: Callable[[int], int]) -> None:
    """CPU, memory, disk and network are kept busy on the board while it captures at a steady rate."""
    load = (
        "(while :; do :; done) & a=$!; "
        "(while :; do head -c 67108864 /dev/zero | tail -c 1 >/dev/null; done) & b=$!; "
        "(while :; do dd if=/dev/zero of=/data/acceptance.tmp bs=1M count=16 conv=fsync status=none; done) & c=$!; "
        "trap 'kill $a $b $c; wait; rm -f /data/acceptance.tmp' EXIT; read -r _"
    )
    channel = unit.target.transport.open_session(timeout=COMMAND_SECONDS)
    with channel:
        channel.exec_command("sudo -n -- sh -c " + shlex.quote(load))
        seen = unit.capture(pattern="counter", rate=1_000_000, total=scaled(16))
        channel.shutdown_write()
        assert channel.status_event.wait(COMMAND_SECONDS), "the load does not end"
    unit.wait_on_board("! ps -eo args | grep -q '[a]cceptance[.]tmp'")
    assert seen.bytes == scaled(16)
    assert seen.whole, str(seen)


@pytest.mark.promise("logs")
@pytest.mark.needs("test_kernel_log_holds_no_error")
def test_kernel_log_still_holds_no_error(unit: UnderTest) -> None:
    assert unit.output("dmesg", "--level=emerg,alert,crit,err", sudo=True).strip() == ""
