# SPDX-License-Identifier: MIT
"""What the driver does when the hardware does wrong, or goes away; the test tells the emulator. Runs on the board."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

from tests.emulated.on_board import device
from tests.emulated.on_board.cases import main
from tests.emulated.on_board.device import Device, is_counter, refused, word_at

MIB = 1 << 20
DRIVER = Path("/sys/bus/platform/drivers/capture-ring")


def every_byte(ring: Device, view: memoryview, blocks: int) -> None:
    """So many blocks come, and the counter goes on from one to the next."""
    size = ring.info().block_bytes
    position = 0
    for sequence in range(blocks):
        (block,) = ring.dequeue(1)
        at = block.index * size
        assert block.sequence == sequence
        position += block.lost_bytes
        assert is_counter(view[at : at + block.bytes], position // 4), (sequence, position)
        position += block.bytes
        ring.enqueue([block.index])


def case_every_block_comes() -> None:
    with Device() as ring:
        ring.setup(65536, 4)
        view = ring.map()
        ring.start()
        every_byte(ring, view, 100)
        ring.stop()
        assert ring.statistics().bytes_lost == 0
        view.release()


def case_every_block_comes_without_interrupts() -> None:
    with Device() as ring:
        ring.setup(65536, 4)
        view = ring.map()
        ring.start()
        every_byte(ring, view, 40)
        ring.stop()
        # how many looks that takes is open: one finds more than the ring holds when blocks come back meanwhile
        assert ring.statistics().recovered >= 1
        view.release()


def case_first_block_has_an_error() -> None:
    with Device() as ring:
        ring.setup(65536, 4)
        ring.start(flags=device.LIMIT, blocks=4)
        flags = [ring.dequeue(1)[0].flags for _ in range(4)]
        assert flags == [device.ERROR, 0, 0, 0]
        assert ring.statistics().errors == 1


def case_read_skips_the_block_with_an_error() -> None:
    with Device() as ring:
        ring.setup(65536, 4)
        ring.start(flags=device.LIMIT, blocks=4)
        refused(errno.EIO, os.read, ring.fd, MIB)
        data = b""
        while piece := os.read(ring.fd, MIB):
            data += piece
        assert len(data) == 3 * 65536
        assert is_counter(data, 65536 // 4)


def case_short_blocks_hold_every_byte() -> None:
    size = 5 * MIB // 4 + 4096  # several chunks: an early end in the middle
    with Device() as ring:
        ring.setup(size, 6)
        view = ring.map()
        ring.start()
        position = 0
        short = 0
        for _ in range(24):
            (block,) = ring.dequeue(1)
            at = block.index * size
            assert is_counter(view[at : at + block.bytes], position // 4), (block.sequence, block.bytes, position)
            assert block.flags == (device.SHORT if block.bytes < size else 0)
            short += block.bytes < size
            position += block.bytes
            ring.enqueue([block.index])
        assert short >= 2
        ring.stop()
        view.release()


def case_short_buffers_hold_every_byte() -> None:
    size = 256 * 1024
    memory = mmap.mmap(-1, 4 * size)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with Device() as ring:
        ring.setup(blocks=4, flags=device.USER)
        ring.enqueue([ring.register(start + place * size, size) for place in range(4)])
        ring.start()
        position = 0
        short = 0
        for _ in range(20):
            (block,) = ring.dequeue(1)
            at = block.index * size
            assert is_counter(memory[at : at + block.bytes], position // 4), (block.sequence, block.bytes)
            short += block.bytes < size
            position += block.bytes
            ring.enqueue([block.index])
        assert short >= 1
        ring.stop()


def produced() -> int:
    """Bytes that the source has generated in this capture."""
    registers = Path("/sys/kernel/debug/capture0/registers").read_text()
    return next(int(line.split()[-1]) for line in registers.splitlines() if "\tproduced\t" in line)


def case_drain_closes_up_a_part() -> None:
    """The first chunk of a block ended early, and the capture ends in the second one."""
    with Device() as ring:
        ring.setup(4 * MIB, 2)
        view = ring.map()
        ring.start(rate=4_000_000)
        while produced() < 3 * MIB // 2:
            pass
        end = ring.end(device.DRAIN)
        (block,) = ring.dequeue(1)
        assert (block.sequence, block.bytes, block.flags) == (0, end.bytes, device.SHORT)
        assert block.bytes >= MIB
        assert is_counter(view[block.index * 4 * MIB :][: block.bytes], 0)
        view.release()


def case_loss_is_exact() -> None:
    """Argument: bytes that the source will lose."""
    with Device() as ring:
        ring.setup(65536, 512)  # room for seconds: nothing else is lost, however busy the computer is
        view = ring.map()
        ring.start(rate=5_000_000)
        position = lost = gaps = 0
        while position < 3 * MIB:
            (block,) = ring.dequeue(1)
            at = block.index * 65536
            lost += block.lost_bytes
            gaps += block.gaps
            position += block.bytes
            last = word_at(view, at + block.bytes - 4)
            assert 4 * (last + 1) >= position
            ring.enqueue([block.index])
        assert 4 * (last + 1) == position + lost
        ring.stop()
        assert lost == int(sys.argv[2])
        assert gaps in (1, 2)  # as far as the hardware tells them apart: a part may have been reported already
        assert ring.statistics().bytes_lost == lost
        view.release()


def case_unbind_under_our_feet() -> None:
    name = next(entry.name for entry in DRIVER.iterdir() if entry.name.endswith(".capture"))
    with Device() as ring, ring.status() as status:
        view = ring.map()
        ring.start()
        (block,) = ring.dequeue(1)
        data = view[block.index * MIB :][:MIB]
        ring.stop()
        ring.start(rate=4)
        said: list[int | None] = []

        def wait() -> None:
            try:
                while True:
                    ring.dequeue()
            except OSError as error:
                said.append(error.errno)

        waiting = threading.Thread(target=wait)
        waiting.start()
        (DRIVER / "unbind").write_text(name)
        waiting.join(10)
        assert said == [errno.ENODEV]
        assert ring.wait_readable() == select.POLLERR | select.POLLHUP
        for call in (ring.info, ring.stop, ring.start, ring.dequeue, ring.statistics, ring.setup):
            refused(errno.ENODEV, call)
        refused(errno.ENODEV, os.read, ring.fd, 4096)
        refused(errno.ENODEV, ring.register, 0, 4096)
        assert is_counter(data, 0), "the mapping stays"
        assert status().state == 6
        (DRIVER / "bind").write_text(name)
        with Device() as another:
            another.start()
            assert another.dequeue(1)[0].sequence == 0
        data.release()
        view.release()


def case_module_in_use_stays() -> None:
    with Device() as ring:
        view = ring.map()
        os.close(ring.fd)  # the mapping holds it
        ring.fd = -1
        assert subprocess.run(["/usr/sbin/rmmod", "capture-ring"], capture_output=True, check=False).returncode != 0
        assert len(bytes(view[:4096])) == 4096
        view.release()
    with Device():
        pass


if __name__ == "__main__":
    main(globals())
