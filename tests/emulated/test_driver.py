# SPDX-License-Identifier: MIT
"""The driver on the emulated board, call by call: each case is a function of tests/emulated/on_board/, run there.

What the hardware does wrong is told to the emulator meanwhile; see firmware/faults.py.
"""

from __future__ import annotations

import re

import pytest

from firmware.errors import TargetError
from tests.emulated.conftest import Linux
from tests.emulated.driver_cases import CASE_SECONDS, PACKAGE, PYTHON, cases, complaints_in, log, run

pytestmark = [pytest.mark.emulated, pytest.mark.usefixtures("quiet")]
LOST = "an interrupt of the DMA was lost"


def test_complaints_are_noticed() -> None:
    killed = (
        "python3 invoked oom-killer: order=0\nCall trace:\n{}Memory cgroup out of memory: Killed process 4 (python3)\n"
    )
    assert complaints_in(killed.format("")) == []
    assert complaints_in(killed.format("capture-ring ff: the DMA does not stop\n")) == [
        "capture-ring ff: the DMA does not stop"
    ]
    assert complaints_in("python3 invoked oom-killer: order=0\nCall trace:\n") == ["Call trace:"]
    assert complaints_in(
        killed.format("") + "WARNING: at 1\nOF: overlay: WARNING: memory leak will occur if overlay removed"
    ) == ["WARNING: at 1"]


def test_case_that_fails_is_noticed(capture: Linux) -> None:
    with pytest.raises(TargetError, match="case_there_is_no_such_case"):
        run(capture, "setup_cases", "there_is_no_such_case")


@pytest.mark.parametrize("case", cases("setup_cases"))
def test_setup(capture: Linux, case: str) -> None:
    run(capture, "setup_cases", case)


@pytest.mark.parametrize("case", cases("memory_cases"))
def test_memory(capture: Linux, case: str) -> None:
    run(capture, "memory_cases", case)


@pytest.mark.parametrize("case", cases("read_cases"))
def test_read(capture: Linux, case: str) -> None:
    run(capture, "read_cases", case)


@pytest.mark.parametrize("case", cases("user_cases"))
def test_user_buffers(capture: Linux, case: str) -> None:
    run(capture, "user_cases", case)


def test_debugfs_shows_statistics_and_registers(capture: Linux) -> None:
    folder = "/sys/kernel/debug/capture0"
    statistics = capture.target.output(["cat", f"{folder}/statistics"], sudo=True)
    assert re.search(r"^blocks_free\t\d+$", statistics, re.MULTILINE)
    assert int(re.search(r"^copybreak\t(\d+)$", statistics, re.MULTILINE)[1]) > 0  # type: ignore[index]
    registers = capture.target.output(["cat", f"{folder}/registers"], sudo=True)
    assert re.search(r"^source\t0x10\tfifo_bytes\t0x\w{8}$", registers, re.MULTILINE)
    assert re.search(r"^msgdma\t0x00\tstatus\t0x\w{8}$", registers, re.MULTILINE)
    assert "ff2" not in registers, "no bus address leaves the kernel"
    view = "/sys/kernel/debug/regmap/ff200000.capture-{}/registers"
    assert capture.target.output(["cat", view.format("sysid")], sudo=True).startswith(
        f"0: {capture.board.fabric.id:08x}\n"
    )
    assert re.search(r"^10: \w{8}$", capture.target.output(["cat", view.format("source")], sudo=True), re.MULTILINE)
    assert re.search(r"^c: 0000\w{4}$", capture.target.output(["cat", view.format("csr")], sudo=True), re.MULTILINE)
    assert capture.target.run(["cat", f"{folder}/registers"]).status != 0, "for root only"


def test_refused_buffer_is_explained_in_the_log(capture: Linux) -> None:
    run(capture, "user_cases", "file_on_a_disk_is_refused_for_long")
    said = log(capture)
    assert "CAPTURE_RING_USER_ONCE for each transfer" in said
    assert "VM_IO or VM_PFNMAP" in said


def test_recording_in_a_mapped_file_outlives_unmount(capture: Linux) -> None:
    """DMA into windows of an mmap()ed file on ext4: unmounted and mounted again, every byte is there."""
    image, place = "/data/recording.ext4", "/run/recording"
    case = f"{' '.join(PYTHON)} {PACKAGE}.user_cases"
    script = f"""set -e
        truncate -s 64M {image}; mkfs.ext4 -q {image}; mkdir -p {place}; mount -o loop {image} {place}
        {case} dma_into_a_mapped_file {place}/samples
        umount {place}; mount -o loop,ro {image} {place}
        {case} check_file {place}/samples
        umount {place}; rm {image}"""
    capture.target.output(["sh", "-c", script], sudo=True, timeout=CASE_SECONDS)


def test_recording_in_a_mapped_block_device(capture: Linux) -> None:
    """The same with a device that has no file system: its bytes are the samples, and nothing else."""
    image, case = "/data/recording.raw", f"{' '.join(PYTHON)} {PACKAGE}.user_cases"
    script = f"""set -e
        truncate -s 24M {image}; device=$(losetup --find --show {image}); trap "losetup -d $device" EXIT
        {case} dma_into_a_mapped_file $device
        losetup -d $device; trap - EXIT
        {case} check_file {image}; rm {image}"""
    capture.target.output(["sh", "-c", script], sudo=True, timeout=CASE_SECONDS)


def test_lost_interrupts_are_survived(capture: Linux) -> None:
    lost, said = capture.faults.msgdma.injected().lost_interrupts, log(capture).count(LOST)
    capture.faults.msgdma.lose_interrupts(1 << 40)  # none comes at all
    try:
        run(capture, "fault_cases", "every_block_comes_without_interrupts")
    finally:
        capture.faults.msgdma.lose_interrupts(0)
    assert capture.faults.msgdma.injected().lost_interrupts > lost
    assert log(capture).count(LOST) == said + 1, "said once a capture"


def test_late_interrupts_are_survived(capture: Linux) -> None:
    capture.faults.msgdma.delay_interrupts(20, 70_000_000)
    run(capture, "fault_cases", "every_block_comes")


def test_error_of_the_dma_marks_the_block(capture: Linux) -> None:
    capture.faults.msgdma.fail(1)
    run(capture, "fault_cases", "first_block_has_an_error")


def test_error_of_the_dma_is_an_error_of_read(capture: Linux) -> None:
    capture.faults.msgdma.fail(1)
    run(capture, "fault_cases", "read_skips_the_block_with_an_error")


@pytest.mark.parametrize("length", [4, 40_000, 61_440, 1_000_000])
def test_transfer_that_ends_early_loses_no_byte(capture: Linux, length: int) -> None:
    """Also in the middle of a block, whose data are then moved together."""
    capture.faults.msgdma.shorten(7, length)
    run(capture, "fault_cases", "short_blocks_hold_every_byte")
    assert capture.faults.msgdma.injected().shortened_descriptors >= 7


def test_drain_moves_the_last_block_together(capture: Linux) -> None:
    capture.faults.msgdma.shorten(1, 40_000)
    run(capture, "fault_cases", "drain_closes_up_a_part")


def test_short_buffers_of_user_space_hold_every_byte(capture: Linux) -> None:
    capture.faults.msgdma.shorten(7, 8192)
    run(capture, "fault_cases", "short_buffers_hold_every_byte")


def test_loss_is_reported_to_the_byte(capture: Linux) -> None:
    capture.faults.source.drop(400_000)
    run(capture, "fault_cases", "loss_is_exact", "400000")


def test_dma_that_stalls_is_waited_for(capture: Linux) -> None:
    capture.faults.msgdma.stall(300_000_000)
    run(capture, "fault_cases", "every_block_comes")


def test_unbinding_with_a_mapping_and_a_reader_alive(capture: Linux) -> None:
    run(capture, "fault_cases", "unbind_under_our_feet")


def test_module_in_use_cannot_be_unloaded(capture: Linux) -> None:
    run(capture, "fault_cases", "module_in_use_stays")
