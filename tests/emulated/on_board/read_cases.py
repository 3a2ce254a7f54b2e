# SPDX-License-Identifier: MIT
"""read(): the capture as a stream of bytes; runs on the board."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
from pathlib import Path

from tests.emulated.on_board import device
from tests.emulated.on_board.cases import main
from tests.emulated.on_board.device import Device, is_counter, refused

COPYBREAK = Path("/sys/module/capture_ring/parameters/copybreak")


def read_or(number: int, ring: Device, size: int) -> bytes:
    """What there is, or nothing with that error."""
    try:
        return os.read(ring.fd, size)
    except OSError as error:
        if error.errno != number:
            raise
    return b""


def read_all(ring: Device, size: int, least: int) -> bytes:
    data = b""
    while len(data) < least:
        data += os.read(ring.fd, size)
    return data


def case_wrong_use_is_refused() -> None:
    with Device() as ring:
        refused(errno.ENODATA, os.read, ring.fd, 4096)  # nothing was ever started
        refused(errno.ESPIPE, os.lseek, ring.fd, 0, os.SEEK_SET)
        refused(errno.EINVAL, os.write, ring.fd, b"x")
        ring.start()
        (block,) = ring.dequeue(1)
        refused(errno.EBUSY, os.read, ring.fd, 4096)
        ring.enqueue([block.index])
        ring.stop()
        ring.start()
        assert len(os.read(ring.fd, 4096)) == 4096
        refused(errno.EBUSY, ring.dequeue)
        batch = device.Batch(1)
        batch.block[0].index = block.index
        refused(errno.EBUSY, ring.ioctl, device.ENQUEUE, batch)
        assert os.read(ring.fd, 0) == b""


def case_bytes_are_the_same_for_any_size_of_read() -> None:
    for size, blocks in ((65536, 4), (3 * 65536 + 4096, 8)):
        for copybreak in ("1", "1000000000"):  # always unmap, never unmap
            COPYBREAK.write_text(copybreak)
            with Device() as ring:
                ring.setup(size, blocks)
                ring.start()
                position = 0
                for step in (4, 4092, 4096, 65536, 65532, 1 << 20):
                    data = read_all(ring, step, 16 * step if step < 65536 else 3 * size)
                    assert is_counter(data, position // 4), (size, step, position)
                    position += len(data)
                ring.stop()
                while data := os.read(ring.fd, 1 << 20):  # what was filled before is still read
                    assert is_counter(data, position // 4)
                    position += len(data)
                assert position == ring.statistics().bytes_filled
                assert ring.statistics().blocks_free == blocks
    COPYBREAK.write_text("0")


def case_odd_lengths_and_vectors() -> None:
    with Device() as ring:
        ring.start(flags=device.LIMIT, blocks=1)
        parts = [bytearray(1), bytearray(3), bytearray(4095), bytearray(1 << 16)]
        assert os.readv(ring.fd, parts) == sum(len(part) for part in parts)
        data = b"".join(parts)
        while more := os.read(ring.fd, 100_003):
            data += more
        assert len(data) == 1 << 20
        assert is_counter(data, 0)


def case_nonblocking_and_poll() -> None:
    with Device(nonblock=True) as ring:
        ring.setup(65536, 4)
        ring.start(rate=2_000_000, flags=device.LIMIT, blocks=3)
        refused(errno.EAGAIN, os.read, ring.fd, 4096)
        data = b""
        while True:
            assert ring.wait_readable() & select.POLLIN
            piece = os.read(ring.fd, 40_000)
            if not piece:
                break
            data += piece
        assert len(data) == 3 * 65536
        assert is_counter(data, 0)
        assert ring.wait_readable(0), "the end is an event for who reads"


def case_gap_is_told_once_and_no_read_crosses_it() -> None:
    with Device() as ring:
        ring.setup(65536, 4)
        ring.start(rate=20_000_000)
        while ring.statistics().bytes_lost < 500_000:
            time.sleep(0.005)
        data = b""
        while piece := read_or(errno.EOVERFLOW, ring, 1 << 20):
            data += piece
        assert len(data) % 65536 == 0
        assert is_counter(data, 0)
        assert len(os.read(ring.fd, 65536)) > 0, "the one behind it goes on"
        assert ring.statistics().bytes_lost >= 500_000


def case_signal_ends_a_read_and_a_dequeue() -> None:
    class Alarmed(Exception):
        pass

    def alarm(*_: object) -> None:
        raise Alarmed

    signal.signal(signal.SIGALRM, alarm)
    with Device() as ring:
        ring.start(rate=4)  # a block in three days
        for call in (lambda: os.read(ring.fd, 4096), ring.dequeue):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                call()
            except Alarmed:
                continue
            raise AssertionError("the signal did not end it")
        child = os.fork()  # one of both reads, the other waits for it
        signal.setitimer(signal.ITIMER_REAL, 1.0 if child else 0.5)
        try:
            os.read(ring.fd, 4096)
        except Alarmed:
            if not child:
                os._exit(0)
        assert child, "the child has read something"
        assert os.waitpid(child, 0)[1] == 0
        ring.stop()


def case_stop_ends_a_read_that_waits() -> None:
    with Device() as ring:
        ring.start(rate=4)
        threading.Timer(0.2, ring.stop).start()
        assert os.read(ring.fd, 4096) == b""


def case_killed_reader_leaves_the_device_free() -> None:
    reading, telling = os.pipe()
    child = os.fork()
    if not child:
        ring = Device()
        ring.start(rate=4)
        os.write(telling, b"next is the read")
        os.read(ring.fd, 4096)
        os._exit(1)
    os.close(telling)
    assert os.read(reading, 64), "the child ended early"
    while (state := Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]) != "S":
        assert state in "RD", state  # asleep it can be in the read only
        time.sleep(0.01)  # paces the question
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    with Device() as ring:
        ring.start()
        assert is_counter(read_all(ring, 1 << 16, 1 << 20), 0)


def case_two_readers_share_one_stream() -> None:
    with Device() as ring:
        ring.setup(65536, 4)
        ring.start(flags=device.LIMIT, blocks=32)
        pieces: list[bytes] = []

        def reader() -> None:
            while piece := os.read(ring.fd, 16384):
                pieces.append(piece)

        threads = [threading.Thread(target=reader) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(len(piece) for piece in pieces) == 32 * 65536
        starts = sorted(device.word_at(piece, 0) for piece in pieces)
        assert all(is_counter(piece, device.word_at(piece, 0)) for piece in pieces)
        assert starts[0] == 0
        assert len(set(starts)) == len(starts)


def case_sync_of_the_block_that_is_read_is_refused() -> None:
    """It is not dequeued, and may be out of its mapping for the DMA."""
    with Device() as ring:
        ring.setup(65536, 4)
        ring.start()
        assert len(os.read(ring.fd, 4096)) == 4096
        for index in range(4):
            refused(errno.EINVAL, ring.ioctl, device.SYNC, device.Sync(index, 0, 0, 4096))
        ring.stop()


if __name__ == "__main__":
    main(globals())
