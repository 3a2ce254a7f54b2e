# SPDX-License-Identifier: MIT
"""SETUP, the status page, SYNC, START with a limit, overflow policies, drain and abort; runs on the board."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.emulated.on_board import device
from tests.emulated.on_board.cases import main
from tests.emulated.on_board.device import Block, Device, is_counter, refused, word_at

KIB, MIB = 1024, 1 << 20


def the_rest(ring: Device) -> Iterator[Block]:
    """Blocks until there are no more."""
    while True:
        try:
            yield from ring.dequeue(1)
        except OSError as error:
            if error.errno == errno.ENODATA:
                return
            raise


def case_wrong_input_is_refused() -> None:
    with Device() as ring:
        for wrong in (
            {"block_bytes": 4096}, {"block_bytes": 65536 + 512}, {"block_bytes": 32 * MIB}, {"blocks": 1},
            {"blocks": 1025}, {"overflow": 3}, {"flags": 8},
        ):  # fmt: skip
            refused(errno.EINVAL, ring.setup, **wrong)
        refused(errno.E2BIG, ring.setup, 16 * MIB, 64)
        for request, data in (
            (device.SETUP, device.Setup(reserved=(device.U32 * 10)(*[0] * 9, 1))),
            (device.START, device.Start(reserved=(device.U32 * 2)(0, 1))),
            (device.START, device.Start(flags=2)),
            (device.START, device.Start(pattern=device.SAMPLES + 1)),
            (device.START, device.Start(blocks=1)),
            (device.START, device.Start(flags=device.LIMIT)),
            (device.END, device.End(mode=2)),
            (device.END, device.End(flags=1)),
            (device.SYNC, device.Sync(direction=2, bytes=1)),
            (device.SYNC, device.Sync(bytes=1)),  # not dequeued
            (device.SYNC, device.Sync(index=9999, bytes=1)),
            (device.DEQUEUE, device.Batch(17)),
            (device.ENQUEUE, device.Batch(1)),
        ):
            refused(errno.EINVAL, ring.ioctl, request, data)
        refused(errno.ENOTTY, ring.ioctl, device._request(3, 0x60, device.Setup))
        assert ring.info().map_bytes == 64 * MIB, "a refused setup changes nothing"


def case_ramp_and_samples_are_started() -> None:
    with Device() as ring:
        ring.setup(65536, 2)
        data = ring.map()
        for pattern in (device.RAMP, device.SAMPLES):  # the emulated fabric samples nothing: the ramp goes on
            ring.start(pattern=pattern)
            (block,) = ring.dequeue(1)
            at = block.index * 65536
            assert [word_at(data, at + place) for place in (0, 4, 65532)] == [0x00010000, 0x00030002, 0x7FFF7FFE]
            ring.stop()
            ring.enqueue([block.index])
        data.release()


def case_sizes_that_are_no_power_of_two() -> None:
    for size, blocks in ((65536, 2), (5 * MIB // 4 + 4096, 7), (16 * MIB, 4), (65536 + 4096, 1024)):
        with Device() as ring:
            made = ring.setup(size, blocks)
            assert (made.block_bytes, made.blocks, made.map_bytes) == (size, blocks, size * blocks)
            view = ring.map()
            assert not any(view[:: 4096 * 13]), "new memory is zero"
            ring.start()
            taken = 0
            while taken < min(3 * blocks, 24) * size:
                for block in ring.dequeue(4):
                    at = block.index * size
                    assert is_counter(view[at : at + size], taken // 4)
                    taken += size
                    ring.enqueue([block.index])
            ring.stop()
            view.release()
    with Device() as ring:
        assert ring.info().map_bytes == 64 * MIB, "each owner begins with the device tree's ring"


def case_setup_in_use_is_busy() -> None:
    with Device() as ring:
        ring.map().release()
        refused(errno.EBUSY, ring.setup, 65536, 4)  # mapped
        ring.setup(overflow=device.STOP)  # the same size is no harm
        ring.start()
        refused(errno.EBUSY, ring.setup, 65536, 4)  # runs
        (block,) = ring.dequeue(1)
        ring.stop()
        assert ring.ring is not None
        ring.ring.close()
        refused(errno.EBUSY, ring.setup, 65536, 4)  # dequeued
        ring.enqueue([block.index])
        ring.setup(65536, 4)
        refused(errno.EBUSY, Device)


def case_status_page_follows() -> None:
    with Device() as ring, ring.status() as status:
        assert (status().abi, status().state, status().blocks_free) == (1, device.IDLE, 64)
        refused(errno.EACCES, mmap.mmap, ring.fd, 4096, mmap.MAP_SHARED, offset=device.STATUS_OFFSET)
        refused(errno.EINVAL, mmap.mmap, ring.fd, 8192, mmap.MAP_SHARED, mmap.PROT_READ, offset=device.STATUS_OFFSET)
        refused(errno.EINVAL, mmap.mmap, ring.fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ, offset=4096)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        ring.start(flags=device.LIMIT, blocks=10)
        blocks = ring.dequeue(1)
        while len(blocks) < 10:
            blocks += ring.dequeue()
        refused(errno.ENODATA, ring.dequeue)
        now = status()
        assert (now.state, now.sequence, now.blocks_user) == (device.COMPLETE, 10, 10)
        assert now.blocks_free == 54
        assert before < now.start_monotonic_ns < blocks[0].time_ns < time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        tai = time.clock_gettime_ns(time.CLOCK_TAI) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        assert abs(now.start_tai_ns - now.start_monotonic_ns - tai) < 10**9
        ring.enqueue([block.index for block in blocks])
        assert (status().blocks_user, status().blocks_free) == (0, 64)


def case_clock_is_tai_when_asked_for() -> None:
    with Device() as ring:
        ring.setup(flags=device.TAI)
        before = time.clock_gettime_ns(time.CLOCK_TAI)
        ring.start()
        (block,) = ring.dequeue(1)
        assert before < block.time_ns < time.clock_gettime_ns(time.CLOCK_TAI)


def case_window_of_exactly_so_many_blocks() -> None:
    with Device(nonblock=True) as ring:
        ring.setup(65536, 8)
        view = ring.map()
        ring.start(flags=device.LIMIT, blocks=20)
        seen = []
        while True:
            if not ring.wait_readable(2):
                break
            for block in ring.dequeue():
                seen.append(block.sequence)
                assert is_counter(view[block.index * 65536 :][:65536], block.sequence * 16384)
                ring.enqueue([block.index])
        assert seen == list(range(20)), seen
        refused(errno.ENODATA, ring.dequeue)
        assert ring.statistics().blocks_filled == 20
        view.release()


def case_drop_newest_counts_what_the_source_drops() -> None:
    with Device() as ring:
        ring.setup(65536, 4)
        view = ring.map()
        ring.start(rate=5_000_000)
        held = [ring.dequeue(1)[0] for _ in range(4)]
        while ring.statistics().bytes_lost < 1_000_000:
            time.sleep(0.005)
        ring.enqueue([block.index for block in held])
        position, gaps, lost = 4 * 65536, 0, 0
        while gaps < 1:
            (block,) = ring.dequeue(1)
            data = view[block.index * 65536 :][: block.bytes]
            gaps += bool(block.flags & device.GAP)
            lost += block.lost_bytes
            assert bool(block.flags & device.GAP) == bool(block.gaps) == bool(block.lost_bytes)
            position += block.bytes
            last = word_at(data, block.bytes - 4)
            assert (last + 1) * 4 == position + lost, (last, position, lost)
            data.release()
            ring.enqueue([block.index])
        ring.stop()
        assert lost >= 1_000_000
        assert lost <= ring.statistics().bytes_lost  # which includes what no block has reported
        view.release()


def case_overflow_stops_when_asked_for() -> None:
    with Device() as ring, ring.status() as status:
        ring.setup(65536, 4, device.STOP)
        ring.start(rate=20_000_000)
        while status().state == device.RUNNING:
            time.sleep(0.005)
        assert status().state == device.OVERFLOW
        blocks = ring.dequeue()
        assert [block.sequence for block in blocks] == [0, 1, 2, 3]
        assert not any(block.flags for block in blocks)
        refused(errno.ENODATA, ring.dequeue)
        assert ring.statistics().bytes_lost > 0
        ring.enqueue([block.index for block in blocks])
        ring.start()  # and it starts again
        assert ring.dequeue(1)[0].sequence == 0


def case_overwrite_oldest_keeps_the_newest() -> None:
    with Device() as ring:
        ring.setup(65536, 8, device.OVERWRITE_OLDEST)
        view = ring.map()
        ring.start(rate=3_000_000)
        while ring.statistics().blocks_overwritten < 40:
            time.sleep(0.005)
        position = 0
        holes = 0
        for _ in range(60):
            (block,) = ring.dequeue(1)
            at = block.index * 65536
            position += block.lost_bytes
            assert word_at(view, at) * 4 == position, (block.sequence, word_at(view, at) * 4, position)
            assert is_counter(view[at : at + 65536], position // 4)
            holes += bool(block.flags & device.GAP)
            position += block.bytes
            assert block.sequence * 65536 + 65536 == position, "only whole blocks are lost"
            ring.enqueue([block.index])
        counts = ring.statistics()
        assert holes >= 1
        assert counts.blocks_overwritten >= 40
        assert counts.bytes_lost == counts.blocks_overwritten * 65536, "the source lost nothing"
        ring.stop()
        view.release()


def case_drain_delivers_the_last_byte() -> None:
    for size in (65536, 3 * 65536 + 4096):
        with Device() as ring:
            ring.setup(size, 8)
            view = ring.map()
            ring.start(rate=3_000_000)
            ring.dequeue(1)
            end = ring.end(device.DRAIN)
            total = size
            for block in the_rest(ring):
                data = view[block.index * size :][: block.bytes]
                assert is_counter(data, total // 4)
                data.release()
                total += block.bytes
                last = block
            assert end.left == 0
            assert (last.flags, last.bytes) == ((device.SHORT, end.bytes) if end.bytes else (0, size))
            counts = ring.statistics()
            assert (counts.bytes_filled, counts.bytes_lost) == (total, 0)
            assert counts.blocks_hardware == 0
            ring.end(device.DRAIN)  # when none runs it is no error
            view.release()


def case_abort_drops_what_waits() -> None:
    with Device() as ring:
        ring.start()
        (first,) = ring.dequeue(1)
        ring.wait_readable()
        ring.end(device.ABORT)
        refused(errno.ENODATA, ring.dequeue)
        counts = ring.statistics()
        assert (counts.blocks_user, counts.blocks_free) == (1, 63)
        ring.enqueue([first.index])


def case_forward_only_needs_sync_to_look() -> None:
    with Device() as ring:
        ring.setup(65536, 4, flags=device.FORWARD_ONLY)
        view = ring.map()
        ring.start()
        for _ in range(12):
            (block,) = ring.dequeue(1)
            for wrong in ((65536, 1), (0, 65537), (65535, 2), (0, 0)):
                refused(errno.EINVAL, ring.ioctl, device.SYNC, device.Sync(block.index, 0, *wrong))
            ring.ioctl(device.SYNC, device.Sync(block.index, 0, 0, 4096))
            assert is_counter(view[block.index * 65536 :][:4096], block.sequence * 16384)
            ring.ioctl(device.SYNC, device.Sync(block.index, 1, 0, 4096))
            ring.enqueue([block.index])
            refused(errno.EINVAL, ring.ioctl, device.SYNC, device.Sync(block.index, 0, 0, 4096))
        ring.stop()
        view.release()


def case_child_and_duplicate_share_one_owner() -> None:
    with Device() as ring:
        view = ring.map()
        again = os.dup(ring.fd)
        child = os.fork()
        if not child:  # the file is inherited, the mapping is not: looking at it would be the end
            os._exit("/dev/capture0" in Path("/proc/self/maps").read_text())
        assert os.waitpid(child, 0)[1] == 0
        view.release()
        ring.close()
        refused(errno.EBUSY, Device)
        fcntl.ioctl(again, device.STOP_NOW)
        os.close(again)
    with Device():
        pass


if __name__ == "__main__":
    main(globals())
