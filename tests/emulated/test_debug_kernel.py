# SPDX-License-Identifier: MIT
"""The driver under the kernel's checkers: KASAN, UBSAN, lockdep, DMA-API, DEBUG_VM, kmemleak, RCU, page poisoning.

One board with the debug kernel (firmware/debug_board.py) for all tests, in the order in which they stand here. Each one
ends with `quiet`: no report since boot, nothing pinned. The last tests make mistakes on purpose, so that it is known
that the checkers would have spoken. Slow tier: the kernel is compiled first (half an hour), the tests take as long.
What opens the device thousands of times has a board with a small ring: test_debug_fuzz.py, test_debug_failures.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware import board as boards
from firmware import cost, debug_board, driver, kernel, kernel_reports, program
from firmware.emulator import Emulator
from firmware.ssh import Target
from tests.emulated import driver_cases, kernel_module
from tests.emulated.checkers import quiet
from tests.emulated.test_mapping_controls import HOST_FROM_BOARD, Receiver

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

BOARD = boards.load(boards.DEFAULT_BOARD)
DEVICE = "ff200000.capture"
MODULE = "/run/capture-ring.ko"
WAYS = (cost.READ_SEND, cost.COPY_SEND, cost.MMAP_SEND, cost.ZEROCOPY, cost.FORWARD, cost.TAKE, cost.BARE)
CASES = [
    (module, case) for module in ("setup_cases", "read_cases", "user_cases") for case in driver_cases.cases(module)
]
TRACING = "/sys/kernel/debug/tracing"
LEAK_KIB = 4096
BLOCKS = 40
SECONDS = 900.0


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Target]]:
    """The board, nobody on its capture device, what leaked at boot forgotten."""
    with debug_board.booted(BOARD, tmp_path_factory.mktemp("debug")) as (machine, target):
        kernel_reports.forget_leaks(target)
        yield machine, target


@pytest.fixture
def target(checked: tuple[Emulator, Target]) -> Target:
    return checked[1]


def run(target: Target, name: str, *arguments: str, include: Path | None = None) -> str:
    """What a program of tests/emulated/programs prints."""
    folders = [program.UAPI, *([include] if include else [])]
    path = program.install(target, program.build(program.PROGRAMS / f"{name}.c", *folders))
    return target.output([path, *arguments], sudo=True, timeout=SECONDS)


def load(target: Target) -> None:
    """Load the driver; its device is there when insmod returns."""
    module = driver.build(kernel.build(BOARD, debug_board.FLAVOUR)) / driver.MODULE
    target.put(module.read_bytes(), MODULE, sudo=True)
    target.output(["insmod", MODULE], sudo=True)


def test_boot_is_quiet_and_the_checkers_are_on(target: Target) -> None:
    quiet(target)
    assert target.get("/sys/kernel/debug/dma-api/disabled", sudo=True).strip() == "N"
    assert "page_poison=1" in target.get("/proc/cmdline")
    assert kernel_reports.dma_mappings(target, DEVICE) != []


@pytest.fixture(scope="module")
def cases(checked: tuple[Emulator, Target]) -> Target:
    """The board with the cases of tests/emulated/on_board on it."""
    driver_cases.push_cases(checked[1])
    return checked[1]


@pytest.mark.parametrize(("module", "case"), CASES)
def test_case_of_the_driver(cases: Target, module: str, case: str) -> None:
    """What test_driver.py has run on the release image, under the checkers."""
    driver_cases.run_case(cases, module, case, seconds=SECONDS)
    quiet(cases)


def test_trace_shows_the_way_of_each_block(cases: Target) -> None:
    """Filled, taken, given back, in this order; and the states of the capture."""
    cases.output(["sh", "-ec", f"cd {TRACING}; echo 1 >events/capture_ring/enable; echo >trace"], sudo=True)
    driver_cases.run_case(cases, "setup_cases", "window_of_exactly_so_many_blocks", seconds=SECONDS)
    cases.output(["sh", "-ec", f"cd {TRACING}; echo 0 >events/capture_ring/enable"], sudo=True)
    lines = cases.get(f"{TRACING}/trace", sudo=True).splitlines()
    for sequence in range(20):
        way = [line for line in lines if re.search(rf"capture_block_\w+: .*\bsequence={sequence} bytes=65536 ", line)]
        assert re.findall(r"capture_block_(\w+):", "\n".join(way)) == ["filled", "taken", "given_back"]
    assert re.findall(r"capture_state: state=(\w+)", "\n".join(lines))[:2] == ["running", "complete"]
    quiet(cases)


def test_every_way_out_of_the_ring(target: Target) -> None:
    captured = np.arange(BLOCKS * cost.MIB // 4, dtype=np.uint32).tobytes()
    for way in WAYS:
        with Receiver(greeting=b"!").running() as receiver:
            said = run(target, "cost", way.name, str(BLOCKS), str(way.block_bytes), HOST_FROM_BOARD, str(receiver.port))
        assert said.startswith(f"blocks={BLOCKS} "), way
        assert "copied=0" in said, way
        assert b"".join(receiver.received) in (b"", captured), way
    quiet(target)


def test_mapping_controls(target: Target) -> None:
    """O_DIRECT, vmsplice, pins; and the coherent mapping, where they fail."""
    module = kernel_module.build("mapping-controls", kernel.build(BOARD, debug_board.FLAVOUR))
    with Receiver().running() as receiver, kernel_module.loaded(target, module):
        include = kernel_module.MODULES / "mapping-controls"
        table = run(target, "mappings", HOST_FROM_BOARD, str(receiver.port), "/data/mappings", include=include)
    (ours,) = (line for line in table.splitlines() if line.startswith("capture-ring "))
    assert ours.count("=ok") == 6
    quiet(target)


def test_device_is_unbound_with_all_in_use_and_bound_again(target: Target) -> None:
    for _ in range(5):
        assert run(target, "unplug", DEVICE) == "ok\n"
    quiet(target)


def test_nothing_leaked(target: Target) -> None:
    assert kernel_reports.leaks(target) == ""


def test_module_goes_only_when_nobody_needs_it_and_leaves_nothing_mapped(target: Target) -> None:
    script = (
        "import os, subprocess; os.open('/dev/capture0', os.O_RDWR);"
        "print(subprocess.run(['rmmod', 'capture-ring'], capture_output=True, text=True).stderr)"
    )
    assert "in use" in target.output(["python3", "-c", script], sudo=True)
    before = kernel_reports.unaccounted_kib(target)
    target.output(["rmmod", "capture-ring"], sudo=True, timeout=SECONDS)
    assert kernel_reports.dma_mappings(target, DEVICE) == []
    freed = before - kernel_reports.unaccounted_kib(target)
    assert abs(freed - BOARD.ring.blocks * BOARD.ring.block_bytes // 1024) < LEAK_KIB
    for _ in range(5):
        load(target)
        target.output(["rmmod", "capture-ring"], sudo=True, timeout=SECONDS)
    load(target)
    quiet(target)
    assert kernel_reports.leaks(target) == ""


@pytest.mark.parametrize(
    ("mistake", "report"),
    [
        ("dma", "failed to check map error"),
        ("sleep", "scheduling while atomic|sleeping function called"),
        ("deadlock", "possible circular locking dependency"),
        ("use_after_free", "KASAN: slab-use-after-free in use_after_free"),  # the last: lockdep gives up behind it
    ],
)
def test_mistake_is_reported(target: Target, mistake: str, report: str) -> None:
    """The checkers do speak: each mistake of modules/misuse gives its report."""
    make_mistake(target, mistake)
    found = "\n".join(kernel_reports.reports(kernel_reports.log(target)))
    assert any(words in found for words in report.split("|"))


def test_lost_memory_is_reported(target: Target) -> None:
    make_mistake(target, "leak")
    found = kernel_reports.leaks(target)  # without the module's name: it has gone
    assert 'comm "insmod"' in found
    assert "do_init_module" in found


def make_mistake(target: Target, mistake: str) -> None:
    """Make a mistake in the kernel, and only that; its module does not stay."""
    target.output(["dmesg", "--clear"], sudo=True)
    module = kernel_module.build("misuse", kernel.build(BOARD, debug_board.FLAVOUR))
    target.put(module.read_bytes(), "/run/misuse.ko", sudo=True)
    assert "No such device" in target.run(["insmod", "/run/misuse.ko", f"mistake={mistake}"], sudo=True).stderr
