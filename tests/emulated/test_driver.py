# SPDX-License-Identifier: MIT
"""The driver on the emulated board, call by call: each case is a function of tests/emulated/on_board/, run there.

What the hardware does wrong is told to the emulator meanwhile; see firmware/faults.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware.errors import TargetError
from firmware.ssh import Target
from tests.emulated.conftest import Linux

pytestmark = pytest.mark.emulated

SOURCES = Path(__file__).parent / "on_board"
PLACE = "/run/on_board"
PACKAGE = "tests.emulated.on_board"
PYTHON = ("env", "-C", PLACE, "python3", "-m")
CASE_SECONDS = 120
# the kernel's word on an overlay that adds a property to a node which is there already
OVERLAY_LEAK = re.compile(r"OF: overlay: WARNING: memory leak will occur if overlay removed")
# its word, with a call trace, on a case that was to run out of its control group's memory
OUT_OF_MEMORY = re.compile(r"invoked oom-killer.*?Memory cgroup out of memory: Killed process", re.DOTALL)


def cases(module: str) -> list[str]:
    """Names of a module's cases that need nothing from here: those without an argument or a fault."""
    names = re.findall(r"^def case_(\w+)", (SOURCES / f"{module}.py").read_text(), re.MULTILINE)
    return [name for name in names if name not in WITH_HELP]


WITH_HELP = ("dma_into_a_mapped_file", "check_file")


def prepare(linux: Linux) -> Linux:
    """The board, without the service, so that the device is free; with the test programs on it."""
    linux.target.output(["systemctl", "mask", "--runtime", "--now", "captured"], sudo=True)
    push_cases(linux.target)
    mount = "mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug"
    linux.target.output(["sh", "-c", mount], sudo=True)
    return linux


@contextmanager
def no_complaints(board: Linux) -> Iterator[None]:
    """What happens in the block leaves no complaint of the kernel behind."""
    board.target.output(["dmesg", "--clear"], sudo=True)
    yield
    complaints = complaints_in(log(board))
    assert not complaints, complaints


def complaints_in(said: str) -> list[str]:
    """What the kernel complains of in its log, what is expected left out."""
    said = OUT_OF_MEMORY.sub(lambda report: "\n".join(re.findall(r".*capture-ring.*", report[0])), said)
    lines = (line for line in said.splitlines() if not OVERLAY_LEAK.search(line))
    return [
        line for line in lines if re.search(r"WARNING|BUG|Oops|Call trace|leak|capture-ring.*(does not|cannot)", line)
    ]


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


def push_cases(target: Target) -> None:
    """Put the cases onto the board."""
    folder = f"{PLACE}/{PACKAGE.replace('.', '/')}"
    target.output(["mkdir", "-p", folder], sudo=True)
    for path in SOURCES.glob("*.py"):
        target.put(path.read_bytes(), f"{folder}/{path.name}", sudo=True)


def run_case(target: Target, module: str, case: str, *arguments: str, seconds: float = CASE_SECONDS) -> str:
    """Run a case on the board. TargetError: it failed, with its traceback."""
    return target.output([*PYTHON, f"{PACKAGE}.{module}", case, *arguments], sudo=True, timeout=seconds)


@pytest.fixture(scope="module")
def board(linux: Linux) -> Linux:
    return prepare(linux)


@pytest.fixture(autouse=True)
def quiet(board: Linux) -> Iterator[None]:
    """No test may leave a complaint of the kernel behind."""
    with no_complaints(board):
        yield


def run(board: Linux, module: str, case: str, *arguments: str) -> str:
    """Run a case on the module's board."""
    return run_case(board.target, module, case, *arguments)


def log(board: Linux) -> str:
    return board.target.output(["dmesg"], sudo=True)


def test_case_that_fails_is_noticed(board: Linux) -> None:
    with pytest.raises(TargetError, match="case_there_is_no_such_case"):
        run(board, "setup_cases", "there_is_no_such_case")


@pytest.mark.parametrize("case", cases("setup_cases"))
def test_setup(board: Linux, case: str) -> None:
    run(board, "setup_cases", case)


@pytest.mark.parametrize("case", cases("memory_cases"))
def test_memory(board: Linux, case: str) -> None:
    run(board, "memory_cases", case)


@pytest.mark.parametrize("case", cases("read_cases"))
def test_read(board: Linux, case: str) -> None:
    run(board, "read_cases", case)


@pytest.mark.parametrize("case", cases("user_cases"))
def test_user_buffers(board: Linux, case: str) -> None:
    run(board, "user_cases", case)


def test_debugfs_shows_statistics_and_registers(board: Linux) -> None:
    folder = "/sys/kernel/debug/capture0"
    statistics = board.target.output(["cat", f"{folder}/statistics"], sudo=True)
    assert re.search(r"^blocks_free\t\d+$", statistics, re.MULTILINE)
    assert int(re.search(r"^copybreak\t(\d+)$", statistics, re.MULTILINE)[1]) > 0  # type: ignore[index]
    registers = board.target.output(["cat", f"{folder}/registers"], sudo=True)
    assert re.search(r"^source\t0x10\tfifo_bytes\t0x\w{8}$", registers, re.MULTILINE)
    assert re.search(r"^msgdma\t0x00\tstatus\t0x\w{8}$", registers, re.MULTILINE)
    assert "ff2" not in registers, "no bus address leaves the kernel"
    view = "/sys/kernel/debug/regmap/ff200000.capture-{}/registers"
    assert board.target.output(["cat", view.format("sysid")], sudo=True).startswith(f"0: {board.board.fabric.id:08x}\n")
    assert re.search(r"^10: \w{8}$", board.target.output(["cat", view.format("source")], sudo=True), re.MULTILINE)
    assert re.search(r"^c: 0000\w{4}$", board.target.output(["cat", view.format("csr")], sudo=True), re.MULTILINE)
    assert board.target.run(["cat", f"{folder}/registers"]).status != 0, "for root only"


def test_refused_buffer_is_explained_in_the_log(board: Linux) -> None:
    run(board, "user_cases", "file_on_a_disk_is_refused_for_long")
    said = log(board)
    assert "CAPTURE_RING_USER_ONCE for each transfer" in said
    assert "VM_IO or VM_PFNMAP" in said


def test_recording_in_a_mapped_file_outlives_unmount(board: Linux) -> None:
    """DMA into windows of an mmap()ed file on ext4: unmounted and mounted again, every byte is there."""
    image, place = "/data/recording.ext4", "/run/recording"
    case = f"{' '.join(PYTHON)} {PACKAGE}.user_cases"
    script = f"""set -e
        truncate -s 64M {image}; mkfs.ext4 -q {image}; mkdir -p {place}; mount -o loop {image} {place}
        {case} dma_into_a_mapped_file {place}/samples
        umount {place}; mount -o loop,ro {image} {place}
        {case} check_file {place}/samples
        umount {place}; rm {image}"""
    board.target.output(["sh", "-c", script], sudo=True, timeout=CASE_SECONDS)


def test_lost_interrupts_are_survived(board: Linux) -> None:
    lost = board.faults.msgdma.injected().lost_interrupts
    board.faults.msgdma.lose_interrupts(1 << 40)  # none comes at all
    try:
        run(board, "fault_cases", "every_block_comes_without_interrupts")
    finally:
        board.faults.msgdma.lose_interrupts(0)
    assert board.faults.msgdma.injected().lost_interrupts > lost
    assert log(board).count("an interrupt of the DMA was lost") == 1, "said once a capture"


def test_late_interrupts_are_survived(board: Linux) -> None:
    board.faults.msgdma.delay_interrupts(20, 70_000_000)
    run(board, "fault_cases", "every_block_comes")


def test_error_of_the_dma_marks_the_block(board: Linux) -> None:
    board.faults.msgdma.fail(1)
    run(board, "fault_cases", "first_block_has_an_error")


def test_error_of_the_dma_is_an_error_of_read(board: Linux) -> None:
    board.faults.msgdma.fail(1)
    run(board, "fault_cases", "read_skips_the_block_with_an_error")


@pytest.mark.parametrize("length", [4, 40_000, 61_440, 1_000_000])
def test_transfer_that_ends_early_loses_no_byte(board: Linux, length: int) -> None:
    """Also in the middle of a block, whose data are then moved together."""
    board.faults.msgdma.shorten(7, length)
    run(board, "fault_cases", "short_blocks_hold_every_byte")
    assert board.faults.msgdma.injected().shortened_descriptors >= 7


def test_short_buffers_of_user_space_hold_every_byte(board: Linux) -> None:
    board.faults.msgdma.shorten(7, 8192)
    run(board, "fault_cases", "short_buffers_hold_every_byte")


def test_loss_is_reported_to_the_byte(board: Linux) -> None:
    board.faults.source.drop(400_000)
    run(board, "fault_cases", "loss_is_exact", "400000")


def test_dma_that_stalls_is_waited_for(board: Linux) -> None:
    board.faults.msgdma.stall(300_000_000)
    run(board, "fault_cases", "every_block_comes")


def test_unbinding_with_a_mapping_and_a_reader_alive(board: Linux) -> None:
    run(board, "fault_cases", "unbind_under_our_feet")


def test_module_in_use_cannot_be_unloaded(board: Linux) -> None:
    run(board, "fault_cases", "module_in_use_stays")
