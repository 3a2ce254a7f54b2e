# SPDX-License-Identifier: MIT
"""The driver's mapping against those that drivers usually make: which ways out of a DMA buffer are open.

The release image's kernel: 32 bits, no LPAE, no IOMMU. `modules/mapping-controls` maps a buffer in four ways,
`programs/mappings.c` tries all ways out of each, and out of a captured block; the receiver is this test.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from firmware import kernel, program
from tests.emulated import kernel_module
from tests.emulated.conftest import Linux

pytestmark = pytest.mark.emulated

HOST_FROM_BOARD = "10.0.2.2"  # the emulator's network: the host's loopback
SERVICE = "captured.service"
MIB = 1 << 20
FACTOR = 2654435761  # CONTROLS_FACTOR
COPYING = ("send",)
PAGES_WANTED = ("zerocopy", "odirect", "vmsplice", "process_vm_readv", "pin")
WITHOUT_PAGES = ("remap_pfn_range", "dma_mmap_coherent", "dma_mmap_noncontiguous")
WITH_PAGES = ("vm_insert_pages", "capture-ring")
COHERENT_POOL_MIB = 16  # CONFIG_CMA_SIZE_MBYTES


class Receiver:
    """Takes connections on a loopback port, each to its end; `received` are their contents, in order."""

    def __init__(self, greeting: bytes = b"") -> None:
        """Listen; `port` is where. Each connection gets the `greeting` first."""
        self.greeting = greeting
        self.received: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                connection.sendall(self.greeting)
                content = b"".join(iter(partial(connection.recv, 1 << 18), b""))
                if content == b"end":
                    return
                self.received.append(content)

    @contextmanager
    def running(self) -> Iterator[Receiver]:
        """Serve for the length of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            with socket.create_connection(("127.0.0.1", self.port)) as last:
                last.sendall(b"end")
            self._thread.join()
            self.listener.close()


def parse(text: str) -> dict[str, dict[str, str]]:
    """The program's table: mapping -> column -> word."""
    rows = (line.split() for line in text.splitlines())
    return {name: dict(cell.split("=", 1) for cell in cells) for name, *cells in rows}


@pytest.fixture(scope="module")
def run(linux: Linux) -> Iterator[tuple[dict[str, dict[str, str]], list[bytes]]]:
    """The table, and what each connection has received."""
    module = kernel_module.build("mapping-controls", kernel.build(linux.board))
    built = program.build(program.PROGRAMS / "mappings.c", program.UAPI, kernel_module.MODULES / "mapping-controls")
    path = program.install(linux.target, built)
    linux.target.output(["systemctl", "stop", SERVICE], sudo=True)
    with Receiver().running() as receiver, kernel_module.loaded(linux.target, module):
        command = [path, HOST_FROM_BOARD, str(receiver.port), "/data/mappings"]
        text = linux.target.output(command, sudo=True, timeout=180)
    print(f"\n{text}")
    yield parse(text), receiver.received
    linux.target.output(["systemctl", "start", SERVICE], sudo=True)


def test_module_refuses_what_it_does_not_know(linux: Linux, run: object) -> None:
    """The controls must not be a way in: wrong lengths are refused."""
    with kernel_module.loaded(linux.target, kernel_module.build("mapping-controls", kernel.build(linux.board))):
        script = "import mmap, os; f = os.open('/dev/mapping-controls', os.O_RDWR); mmap.mmap(f, 4096, prot=1)"
        done = linux.target.run(["python3", "-c", script])
    assert "Invalid argument" in done.stderr


@pytest.mark.parametrize("mapping", WITHOUT_PAGES)
def test_mapping_without_pages_can_only_be_copied(
    run: tuple[dict[str, dict[str, str]], list[bytes]], mapping: str
) -> None:
    row = run[0][mapping]
    assert "pf" in row["flags"].split(",")
    assert {way: row[way] for way in COPYING} == dict.fromkeys(COPYING, "ok")
    assert {way: row[way] for way in PAGES_WANTED} == dict.fromkeys(PAGES_WANTED, "EFAULT")


@pytest.mark.parametrize("mapping", WITH_PAGES)
def test_mapping_with_pages_goes_every_way(run: tuple[dict[str, dict[str, str]], list[bytes]], mapping: str) -> None:
    row = run[0][mapping]
    assert not {"pf", "io"} & set(row["flags"].split(","))
    assert {way: row[way] for way in COPYING + PAGES_WANTED} == dict.fromkeys(COPYING + PAGES_WANTED, "ok")
    assert row["copied"] == "0"  # else "zero copy" was one in name only


def test_what_was_sent_is_what_was_in_the_buffer(run: tuple[dict[str, dict[str, str]], list[bytes]]) -> None:
    numbers = np.arange(MIB // 4, dtype=np.uint32)
    copied = [(numbers * np.uint32(FACTOR) + np.uint32(kind)).tobytes() for kind in range(4)]
    captured = numbers.tobytes()
    # a mapping that has no pages sends nothing the second time
    expected = [copied[0], copied[0], copied[1], b"", copied[2], b"", copied[3], b"", captured, captured]
    assert [content == wanted for content, wanted in zip(run[1], expected, strict=True)] == [True] * len(expected)


def test_coherent_memory_ends_where_its_pool_ends(run: tuple[dict[str, dict[str, str]], list[bytes]]) -> None:
    """Coherent blocks come out of CMA: of the 64 MiB that the ring has, a quarter at most."""
    assert 0 < int(run[0]["dma_alloc_coherent"]["pieces"]) <= COHERENT_POOL_MIB


def test_controls_leave_nothing_behind(linux: Linux, run: object) -> None:
    counters = dict(line.split() for line in linux.target.get("/proc/vmstat").splitlines())
    assert counters["nr_foll_pin_acquired"] == counters["nr_foll_pin_released"]
    assert "mapping-controls" not in linux.target.get("/proc/modules").replace("_", "-")
