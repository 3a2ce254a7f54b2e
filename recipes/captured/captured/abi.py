# SPDX-License-Identifier: MIT
"""The driver's user-space interface in Python: structure formats and request numbers of `capture_ring.h`.

Fixed-size fields without implicit padding, so `=` (native order, standard sizes) describes them. Request numbers follow
Linux's asm-generic/ioctl.h, which both ARM and x86 use. `tests/unit/test_ring.py` compares all of it with the header.
"""

from __future__ import annotations

import struct

ABI = 1
BATCH = 16

INFO = struct.Struct("=IIIIQII32x")  # abi, fabric_id, block_bytes, blocks, map_bytes, flags, source_fifo_bytes
START = struct.Struct("=IIQ16x")  # pattern, flags, rate
BATCH_HEAD = struct.Struct("=IIQ")  # count, flags, reserved
BLOCK = struct.Struct("=IIIIQQQ")  # index, flags, bytes, reserved, sequence, time_ns, lost_bytes
BATCH_BYTES = BATCH_HEAD.size + BATCH * BLOCK.size
STATISTICS = struct.Struct("=QQQQQIIII16x")

_NONE, _WRITE, _READ = 0, 1, 2


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("C") << 8 | number


IOC_INFO = _request(_READ, 0x40, INFO.size)
IOC_START = _request(_WRITE, 0x41, START.size)
IOC_STOP = _request(_NONE, 0x42, 0)
IOC_DEQUEUE = _request(_READ | _WRITE, 0x43, BATCH_BYTES)
IOC_ENQUEUE = _request(_READ | _WRITE, 0x44, BATCH_BYTES)
IOC_STATISTICS = _request(_READ, 0x45, STATISTICS.size)

RECORD_FLAGS = 3  # of a block's flags, gap and error: a record has them, too; its bytes say that a block is short

PATTERNS = {"counter": 0, "prbs31": 1, "ramp": 2, "samples": 3}
