# SPDX-License-Identifier: MIT
"""The driver's modes, each tried on the device itself: the capture service is stopped for them and comes back.

The cases are those of tests/emulated/on_board, which run on the board; here they meet its own memory, caches, fabric.
They leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.under_test import UnderTest
from tests.emulated import driver_cases

pytestmark = [pytest.mark.acceptance, pytest.mark.full]

MODES = {
    "blocks of any size": ("setup_cases", "sizes_that_are_no_power_of_two"),
    "a window of blocks": ("setup_cases", "window_of_exactly_so_many_blocks"),
    "forward only": ("setup_cases", "forward_only_needs_sync_to_look"),
    "drop newest": ("setup_cases", "drop_newest_counts_what_the_source_drops"),
    "overwrite oldest": ("setup_cases", "overwrite_oldest_keeps_the_newest"),
    "stop at an overflow": ("setup_cases", "overflow_stops_when_asked_for"),
    "drain": ("setup_cases", "drain_delivers_the_last_byte"),
    "read": ("read_cases", "bytes_are_the_same_for_any_size_of_read"),
    "user pointer": ("user_cases", "first_offset_and_partial_last_page"),
    "user pointer to any memory": ("user_cases", "buffers_of_any_kind_of_memory"),
    "user pointer to scattered pages": ("user_cases", "scattered_pages_longer_than_the_descriptor_fifo"),
}
FILE = "/data/acceptance.samples"
DEBUGFS = "/sys/kernel/debug"
MOUNTED = f"{driver_cases.PLACE}/mounted"


@pytest.fixture(scope="module")
def free_device(board_under_test: UnderTest) -> Iterator[UnderTest]:
    """The board with the cases on it and nobody on its capture device; behind it as it was, and the service answers."""
    board = board_under_test
    board.output("systemctl", "mask", "--runtime", "--now", "captured", sudo=True)
    try:
        driver_cases.push_cases(board.target)
        mount = f"mountpoint -q {DEBUGFS} || {{ mount -t debugfs debugfs {DEBUGFS} && touch {MOUNTED}; }}"
        board.output("sh", "-c", mount, sudo=True)
        yield board
    finally:
        clean = f"[ ! -e {MOUNTED} ] || umount {DEBUGFS}; rm -rf {driver_cases.PLACE} {FILE}"
        board.output("sh", "-c", clean, sudo=True)
        board.output("systemctl", "unmask", "--runtime", "captured", sudo=True)
        board.output("systemctl", "start", "captured", sudo=True)


def run(board: UnderTest, module: str, case: str, *arguments: str) -> None:
    """Run a case on the board, as a step of the report."""
    with board.recorder.step(case.replace("_", " ")):
        driver_cases.run_case(board.target, module, case, *arguments)


@pytest.mark.promise("driver")
@pytest.mark.needs("test_driver_is_bound_through_the_overlay", "test_fabric_is_the_one_the_manifest_promises")
@pytest.mark.parametrize("mode", MODES)
def test_mode_of_the_driver(unit: UnderTest, free_device: UnderTest, mode: str) -> None:
    assert free_device is unit
    run(unit, *MODES[mode])


@pytest.mark.promise("driver")
@pytest.mark.needs("test_driver_is_bound_through_the_overlay", "test_data_partition_keeps_what_is_written")
def test_samples_go_by_dma_into_a_mapped_file_and_are_on_the_card(unit: UnderTest, free_device: UnderTest) -> None:
    """What is read back comes from the card: the pages that the DMA has filled are dropped first."""
    assert free_device is unit
    run(unit, "user_cases", "dma_into_a_mapped_file", FILE)
    with unit.recorder.step("written to the card, and forgotten"):
        unit.output("sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches", sudo=True)
    run(unit, "user_cases", "check_file", FILE)
