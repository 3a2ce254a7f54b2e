# SPDX-License-Identifier: MIT
"""The driver by mainline's dmaengine driver for the same mSGDMA, with memory that is set aside: the same cases.

The board's overlay is that of a board file with `fabric.provider: dmaengine` and `ring.address`; the memory is larger
than the ring, so that SETUP has room. What the provider cannot do is refused, or known (docs/driver.md, "Another
provider"). Then overlays that come and go on the running board: the mSGDMA itself on a coherent port, and none.

Instructions are counted, so that time is theirs: altera-msgdma clears the interrupt of a transfer that ends while its
handler runs. On metal none is that short; a busy host makes any so.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from firmware import board as boards
from firmware import kernel, overlay, reach
from firmware.board import Board
from firmware.errors import TargetError
from tests.emulated import kernel_module
from tests.emulated.conftest import Linux, booted
from tests.emulated.driver_cases import cases, run
from tests.emulated.test_mapping_controls import HOST_FROM_BOARD

pytestmark = [pytest.mark.emulated, pytest.mark.slow, pytest.mark.usefixtures("quiet")]

ADDRESS, BYTES = 0x20000000, 96 << 20
ICOUNT_SHIFT = 2
DEVICE, CONTROLLER = "ff200000.capture", "ff200100.dma-controller"
# of each kind of call one; the rest is as slow as it is numerous
CORE = {
    "setup_cases": ["wrong_input_is_refused", "window_of_exactly_so_many_blocks", "overwrite_oldest_keeps_the_newest",
                    "drop_newest_counts_what_the_source_drops", "abort_drops_what_waits"],
    "memory_cases": ["captured_data_outlive_cold_and_pageout"],
    "read_cases": ["odd_lengths_and_vectors"],
    "user_cases": ["first_offset_and_partial_last_page", "many_buffers_in_order"],
    "fault_cases": ["every_block_comes", "module_in_use_stays"],
}  # fmt: skip
CANNOT = {"drain_delivers_the_last_byte"}


def variant(address: int | None = None, copier: bool = True, **fabric: object) -> Board:
    """The default board with other keys in its file."""
    raw = boards.load(boards.DEFAULT_BOARD).model_dump()
    raw["ring"]["address"] = address
    raw["fabric"] |= fabric if copier else {**fabric, "copier": None}
    return Board.model_validate(raw)


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linux]:
    board = variant(ADDRESS, provider="dmaengine")
    small, large = (f"{ADDRESS:#x} {size:#x}" for size in (board.ring.bytes, BYTES))
    text = overlay.source(board).replace(f"reg = <{small}>", f"reg = <{large}>")
    assert large in text
    folder = tmp_path_factory.mktemp("linux")
    blob = overlay.compile_overlay(text, folder).read_bytes()
    with booted(folder, icount=ICOUNT_SHIFT, overlay=blob) as running:
        yield running


def all_cases() -> list[tuple[str, str]]:
    modules = ("setup_cases", "memory_cases", "read_cases", "user_cases")
    return [(name, case) for name in modules for case in cases(name) if case not in CANNOT | set(CORE[name])]


def statistics(capture: Linux) -> dict[str, str]:
    shown = capture.target.output(["cat", "/sys/kernel/debug/capture0/statistics"], sudo=True)
    return dict(line.split("\t") for line in shown.splitlines())


def test_memory_is_that_of_the_device_tree(capture: Linux) -> None:
    found = statistics(capture)
    assert (int(found["reserved_memory"]), found["coherent"]) == (BYTES, "0")
    assert int(found["chunks"]) == int(found["blocks"]), "each block in one piece"
    registers = capture.target.output(["cat", "/sys/kernel/debug/capture0/registers"], sudo=True)
    assert re.search(r"^dmaengine\tdma\dchan0\tqueued_at_most\t2$", registers, re.MULTILINE)
    assert "msgdma\t" not in registers, "they are the other driver's"


def test_drain_is_refused(capture: Linux) -> None:
    run(capture, "provider_cases", "drain_is_refused")


def test_setup_has_the_memory_of_the_device_tree_and_no_more(capture: Linux) -> None:
    run(capture, "provider_cases", "setup_ends_where_the_memory_ends")


@pytest.mark.parametrize(("module", "case"), [(module, case) for module in CORE for case in CORE[module]])
def test_core(capture: Linux, module: str, case: str) -> None:
    run(capture, module, case)


@pytest.mark.parametrize(("module", "case"), all_cases())
def test_all(capture: Linux, module: str, case: str) -> None:
    run(capture, module, case)


def test_loss_is_reported_to_the_byte(capture: Linux) -> None:
    capture.faults.source.drop(400_000)
    run(capture, "fault_cases", "loss_is_exact", "400000")


def test_stop_in_the_middle_of_a_block_ends_what_the_engine_cannot_end(capture: Linux) -> None:
    run(capture, "provider_cases", "stop_and_start_again")


def insert(capture: Linux, text: str, folder: Path) -> None:
    """Make the overlay a part of the device tree, until its module is unloaded."""
    capture.target.put(overlay.compile_overlay(text, folder).read_bytes(), "/run/variant.dtbo", sudo=True)
    module = kernel_module.build("live-overlay", kernel.build(capture.board))
    capture.target.put(module.read_bytes(), "/run/live-overlay.ko", sudo=True)
    capture.target.output(["insmod", "/run/live-overlay.ko", "path=/run/variant.dtbo"], sudo=True)


def wait_for_device(capture: Linux) -> None:
    """The driver may have to wait for that of the DMA channel."""
    capture.target.output(["udevadm", "wait", "--timeout=60", "/dev/capture0"], sudo=True)


@contextmanager
def applied(capture: Linux, text: str, folder: Path) -> Iterator[None]:
    """The overlay is part of the device tree for the length of the block."""
    insert(capture, text, folder)
    try:
        yield
    finally:
        capture.target.output(["rmmod", "live-overlay"], sudo=True)
        wait_for_device(capture)


def instead(source: str = "") -> str:
    """Overlay that switches off the devices of the one that the board was booted with, and adds `source`'s node."""
    off = "".join(f'&{{/soc/{name}}} {{ status = "disabled"; }};\n' for name in (
        "capture@ff200000", "dma-controller@ff200100"))  # fmt: skip
    added = "".join(re.findall(r"^\tcapture@ff200000 \{.*?^\t\};\n", source, re.MULTILINE | re.DOTALL))
    soc = f"&{{/soc}} {{\n{added.replace('capture@ff200000', 'capture@ff200040')}}};\n" if added else ""
    return f"/dts-v1/;\n/plugin/;\n{off}{soc}"


def test_coherent_port_needs_no_sync_and_says_so(capture: Linux, tmp_path: Path) -> None:
    run(capture, "provider_cases", "is_not_coherent")
    with applied(capture, instead(overlay.source(variant(coherent=True))), tmp_path):
        wait_for_device(capture)
        assert statistics(capture)["coherent"] == "1"
        run(capture, "provider_cases", "is_coherent")
        run(capture, "fault_cases", "every_block_comes")
        run(capture, "setup_cases", "drain_delivers_the_last_byte")
    run(capture, "fault_cases", "every_block_comes")


def test_device_is_gone_when_its_node_is_off(capture: Linux, tmp_path: Path) -> None:
    with applied(capture, instead(), tmp_path), pytest.raises(TargetError, match="No such file or directory"):
        run(capture, "fault_cases", "every_block_comes")
    run(capture, "fault_cases", "every_block_comes")


def test_memory_that_is_still_mapped_is_not_taken_again(capture: Linux) -> None:
    run(capture, "provider_cases", "set_aside_memory_waits_for_its_last_user", DEVICE)


def late_reader(listener: socket.socket, received: list[bytes]) -> None:
    """Reads the first connection only when the second one is there."""
    first, _ = listener.accept()
    second, _ = listener.accept()
    with first, second:
        received.append(b"".join(iter(partial(first.recv, 1 << 18), b"")))


def test_overlay_goes_away_with_zero_copy_sends_in_flight(capture: Linux, tmp_path: Path) -> None:
    """Its pages are sent all the same, byte for byte, and the completions come."""
    received: list[bytes] = []
    with socket.create_server((reach.LOOPBACK, 0)) as listener:
        reader = threading.Thread(target=late_reader, args=(listener, received), daemon=True)
        reader.start()
        port = str(listener.getsockname()[1])
        insert(capture, instead(overlay.source(variant())), tmp_path)
        wait_for_device(capture)
        run(capture, "provider_cases", "overlay_goes_with_sends_in_flight", HOST_FROM_BOARD, port)
        reader.join(60)
    wait_for_device(capture)
    assert received[0] == np.arange(len(received[0]) // 4, dtype=np.uint32).tobytes()
    assert len(received[0]) >= 1 << 20
    run(capture, "fault_cases", "every_block_comes")
