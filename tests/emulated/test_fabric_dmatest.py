# SPDX-License-Identifier: MIT
"""Mainline's word on the emulated mSGDMA: altera-msgdma probes the copier, and dmatest finds nothing wrong with it.

And the other way round, the emulated board's word on altera-msgdma: with more than two transactions queued it loses
some, and calls back for the wrong ones. That is why recipes/capture-ring has a provider of its own (docs/driver.md).

dmatest has one thread here, as by default. With two, altera-msgdma makes two mistakes that need no more than two
transactions, whatever the core does (with one thread, it makes neither):

- Two threads that have both submitted before either issues: all that is pending becomes active, the first of it is
  started, and the second never is. From then on each completion calls back for the transaction before. Nothing fails
  by that until one thread has done all its tests: each that the other one still has to do fails as "busy", one after
  the other. So the number of failures is the lead that one had.
- The handler clears the interrupt after it has started the next transfer, so that of one that ends in between is
  cleared as well, and nothing is started any more.

The slow tier shows that it is these two, and not the model: without them two threads run clean on the fast core.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware import kernel
from firmware.errors import TargetError
from tests.emulated import kernel_module, mainline_module
from tests.emulated.conftest import Linux, booted

pytestmark = pytest.mark.emulated

SECONDS = 120.0
DRIVER = "altera-msgdma"
MOVE_ALL = "\tlist_splice_tail_init(&mdev->pending_list, &mdev->active_list);"
MOVE_ONE = "\tlist_move_tail(&desc->node, &mdev->active_list);"
CLEAR = "\tiowrite32(MSGDMA_CSR_STAT_IRQ, mdev->csr + MSGDMA_CSR_STATUS);\n"
LOOK = """	status = ioread32(mdev->csr + MSGDMA_CSR_STATUS);
	if ((status & MSGDMA_CSR_STAT_BUSY) == 0) {
		/* Start next"""
CLEAR_LAST = f"\t/* Clear interrupt in mSGDMA controller */\n{CLEAR}"
WITHOUT_MISTAKES = ((MOVE_ALL, MOVE_ONE), (LOOK, CLEAR + LOOK), (CLEAR_LAST, ""))
SUMMARY = re.compile(r"dmatest: \S+: summary (\d+) tests, (\d+) failures")


def insert(linux: Linux, module: Path, *parameters: str) -> None:
    path = f"/run/{module.name}"
    linux.target.put(module.read_bytes(), path, sudo=True)
    linux.target.output(["insmod", path, *parameters], sudo=True, timeout=SECONDS)


@contextmanager
def inserted(linux: Linux, module: Path, *parameters: str) -> Iterator[None]:
    insert(linux, module, *parameters)
    try:
        yield
    finally:
        linux.target.output(["rmmod", module.stem], sudo=True, timeout=SECONDS)


def parameter(linux: Linux, module: str, name: str) -> str:
    return linux.target.output(["cat", f"/sys/module/{module}/parameters/{name}"], sudo=True, timeout=SECONDS).strip()


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linux]:
    with booted(tmp_path_factory.mktemp("linux"), cyclone5_msgdma__bytes_per_second="100000") as running:
        yield running


@pytest.fixture(scope="module")
def modules(linux: Linux) -> dict[str, Path]:
    built = kernel.build(linux.board)
    return {"dmatest": mainline_module.build(built), "slave-order": kernel_module.build("slave-order", built)}


@pytest.fixture
def channel(linux: Linux) -> str:
    """Name of the copier's channel, with mainline's driver loaded anew."""
    copier = linux.board.fabric.copier
    assert copier is not None
    linux.target.output(["modprobe", "-r", DRIVER], sudo=True)
    linux.target.output(["modprobe", DRIVER], sudo=True)
    device = f"/sys/bus/platform/devices/{copier.csr.address:x}.dma-controller/dma"
    return linux.target.output(["ls", device]).strip()


def dmatest(linux: Linux, module: Path, channel: str, *parameters: str) -> tuple[int, int]:
    """Tests and failures of one run of mainline's dmatest."""
    linux.target.output(["dmesg", "--clear"], sudo=True)
    with inserted(linux, module, *parameters, f"channel={channel}", "run=1", "wait=1"):  # in this order
        parameter(linux, "dmatest", "wait")
        found = SUMMARY.findall(linux.target.output(["dmesg"], sudo=True))
    assert found, "dmatest has no summary"
    return sum(int(tests) for tests, _ in found), sum(int(failures) for _, failures in found)


def test_dmatest_itself_sees_a_core_that_fails(linux: Linux, modules: dict[str, Path], channel: str) -> None:
    linux.faults.copier.lose_interrupts(1)
    _, failures = dmatest(linux, modules["dmatest"], channel, "iterations=3", "timeout=300")
    assert failures > 0
    assert linux.faults.copier.injected().lost_interrupts == 1


def test_probes_and_says_nothing_but_success(linux: Linux) -> None:
    linux.target.output(["modprobe", "-r", DRIVER], sudo=True)
    linux.target.output(["dmesg", "--clear"], sudo=True)
    linux.target.output(["modprobe", DRIVER], sudo=True)
    said = linux.target.output(["dmesg"], sudo=True)
    assert re.findall(r"altera-msgdma \S+: (.*)", said) == ["Altera mSGDMA driver probe success"]


def test_dmatest_runs_clean(linux: Linux, modules: dict[str, Path], channel: str) -> None:
    parameters = ("iterations=200", "test_buf_size=8192", "timeout=10000")
    assert dmatest(linux, modules["dmatest"], channel, *parameters) == (200, 0)


@pytest.mark.parametrize(
    ("queued", "first", "last"),
    [
        (1, "C-", "CC"),
        (2, "CC-", "CCC"),
        (3, "CC--", "CCcD"),
        (4, "CC---", "CCc-D"),
        (6, "CC-----", "CCc---D"),
    ],
)
def test_mainline_loses_what_is_queued_beyond_two(
    linux: Linux, modules: dict[str, Path], channel: str, queued: int, first: str, last: str
) -> None:
    with inserted(linux, modules["slave-order"], f"queued={queued}"):
        assert parameter(linux, "slave_order", "first") == first
        assert parameter(linux, "slave_order", "last") == last


def test_slave_order_refuses_more_than_it_can_tell(linux: Linux, modules: dict[str, Path], channel: str) -> None:
    with pytest.raises(TargetError):
        insert(linux, modules["slave-order"], "queued=8")


@pytest.mark.slow
def test_two_threads_and_a_fast_core_need_a_driver_without_its_two_mistakes(tmp_path: Path) -> None:
    with booted(tmp_path) as linux:
        built = kernel.build(linux.board)
        edited = mainline_module.build(built, DRIVER, *WITHOUT_MISTAKES)
        linux.target.output(["modprobe", "-r", DRIVER], sudo=True)
        copier = linux.board.fabric.copier
        assert copier is not None
        with inserted(linux, edited):
            device = f"/sys/bus/platform/devices/{copier.csr.address:x}.dma-controller/dma"
            channel = linux.target.output(["ls", device]).strip()
            parameters = ("iterations=5000", "threads_per_chan=2", "timeout=10000")
            assert dmatest(linux, mainline_module.build(built), channel, *parameters) == (10_000, 0)
