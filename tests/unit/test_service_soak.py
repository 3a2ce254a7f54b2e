# SPDX-License-Identifier: MIT
"""As many blocks as an hour of capture has, streamed and recorded at once: memory stays flat, no descriptor is left.

The blocks are small, so that the hour takes a minute; what may grow grows by the block, the file or the capture. On the
emulated board, `./inv bench --only=soak_rss_slope_kib_per_h` does the same in real time.
"""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest

from firmware.trend import trend
from tests.unit.test_service import Bench

pytestmark = [pytest.mark.unit, pytest.mark.slow]

BLOCKS = 180_000  # an hour at 50 MiB a second
BLOCK_BYTES = 4096
LOOKS = 30
WARM_BLOCKS = BLOCKS // 10


def anonymous_kib() -> int:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def drain(reader: socket.socket) -> None:
    buffer = bytearray(1 << 16)
    while reader.recv_into(buffer):
        pass


def test_hour_of_blocks_leaves_memory_and_descriptors_as_they_were(tmp_path: Path) -> None:
    bench = Bench(tmp_path, BLOCK_BYTES, 64)
    more = "policy = 'wait'\nkeep_files = 2\nrotate_bytes = 1048576\nsync_bytes = 1048576\nchecksum = true\n"
    bench.config_path.write_text(bench.config_path.read_text() + more)
    bench.start()
    bench.ask("reload")
    with bench.connect() as reader:
        thread = threading.Thread(target=drain, args=(reader,))
        thread.start()
        bench.ask("record", name="soak", start=True, bytes=BLOCKS * BLOCK_BYTES)
        rows: list[tuple[int, int, int]] = []
        while (status := bench.ask("status"))["state"] == "running":
            taken = status["blocks_taken"]
            if taken >= WARM_BLOCKS + len(rows) * (BLOCKS - WARM_BLOCKS) // LOOKS:
                rows.append((taken, anonymous_kib(), descriptors()))
        status = bench.ask_until(lambda seen: not seen["disk"]["recording"])
        last = status["disk"]["last"]
        bench.close()
        thread.join()
    assert (last["written"], last["error"], last["dropped_bytes"]) == (BLOCKS * BLOCK_BYTES, "", 0)
    assert len(list((tmp_path / "recordings").glob("*.sigmf-data"))) <= 3
    found = trend([(taken / BLOCKS, memory) for taken, memory, _files in rows])
    print(f"{found.slope:.0f} +- {found.error:.0f} KiB an hour; descriptors {[files for *_, files in rows]}")
    assert found.slope - 2 * found.error < 256
    assert found.slope < 1024
    assert abs(rows[-1][2] - rows[0][2]) <= 3, "between two files one or two more are open"
