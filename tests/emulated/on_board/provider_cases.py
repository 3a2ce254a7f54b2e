# SPDX-License-Identifier: MIT
"""What differs with the provider and with the memory; runs on the board."""

from __future__ import annotations

import errno
import select
import socket
import struct
import subprocess
import sys

from tests.emulated.on_board import device
from tests.emulated.on_board.cases import main
from tests.emulated.on_board.device import Device, is_counter, refused
from tests.emulated.on_board.fault_cases import DRIVER

MIB = 1 << 20
COHERENT = 1
SO_ZEROCOPY, MSG_ZEROCOPY = 60, 0x4000000  # include/uapi/asm-generic/socket.h, linux/socket.h
COMPLETION = struct.Struct("=IBBBBII")  # struct sock_extended_err
COPIED = 1


def case_drain_is_refused() -> None:
    with Device() as ring:
        ring.start(rate=1_000_000)
        refused(errno.EOPNOTSUPP, ring.end, device.DRAIN)
        assert ring.dequeue(1)[0].sequence == 0, "a refusal ends nothing"
        ring.end(device.ABORT)


def case_setup_ends_where_the_memory_ends() -> None:
    """96 MiB are set aside."""
    with Device() as ring:
        assert ring.setup(MIB, 96).map_bytes == 96 * MIB
        refused(errno.ENOMEM, ring.setup, MIB, 97)
        assert ring.info().map_bytes == 96 * MIB, "the ring is the one before"
        view = ring.map()
        assert not any(view[:: 4096 * 13]), "memory is zero, whoever had it before"
        view.release()


def case_stop_and_start_again() -> None:
    """Each time with a block that is filled in part."""
    with Device() as ring:
        ring.setup(65536, 4)
        view = ring.map()
        for _ in range(10):
            ring.start(rate=500_000)
            (block,) = ring.dequeue(1)
            assert is_counter(view[block.index * 65536 :][:65536], 0)
            ring.stop()
            counts = ring.statistics()
            assert (counts.blocks_hardware, counts.bytes_lost) == (0, 0)
            ring.enqueue([block.index])
        view.release()


def case_set_aside_memory_waits_for_its_last_user() -> None:
    """Argument: the device. It comes back when the mapping of the time before has gone."""
    name = sys.argv[2]
    with Device() as ring:
        view = ring.map()
        ring.start()
        (block,) = ring.dequeue(1)
        (DRIVER / "unbind").write_text(name)
        refused(errno.ENODEV, ring.stop)
        refused(errno.ENOMEM, (DRIVER / "bind").write_text, name)
        assert is_counter(view[block.index * MIB :][:MIB], 0)
        view.release()
    (DRIVER / "bind").write_text(name)
    with Device() as ring:
        ring.start()
        assert ring.dequeue(1)[0].sequence == 0


def send_all(ring: Device, sender: socket.socket) -> int:
    """Send captured blocks without a copy until the socket takes no more. Number of calls."""
    view = ring.map()
    calls = 0
    while True:
        for block in ring.dequeue(1):
            data = view[block.index * MIB :][:MIB]
            while data:
                try:
                    sent = sender.send(data, MSG_ZEROCOPY)
                except BlockingIOError:
                    return calls
                data = data[sent:]
                calls += 1


def completed(sender: socket.socket, calls: int) -> None:
    """All calls complete, and none was a copy."""
    waiting = select.poll()
    waiting.register(sender, 0)
    seen = 0
    while seen < calls:
        assert waiting.poll(30_000), (seen, calls)
        (_, _, content) = sender.recvmsg(0, 128, socket.MSG_ERRQUEUE)[1][0]
        _, _, _, code, _, first, last = COMPLETION.unpack_from(content)
        assert not code & COPIED
        seen += last - first + 1


def case_overlay_goes_with_sends_in_flight() -> None:
    """Arguments: host and port, whose first connection is not read before the second is there."""
    place = (sys.argv[2], int(sys.argv[3]))
    with socket.create_connection(place) as sender, Device() as ring:
        sender.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        sender.setblocking(False)
        ring.start()
        calls = send_all(ring, sender)
        subprocess.run(["/usr/sbin/rmmod", "live-overlay"], check=True)
        refused(errno.ENODEV, ring.stop)
        assert ring.ring is not None
        ring.close()
        with socket.create_connection(place):
            completed(sender, calls)
            sender.shutdown(socket.SHUT_WR)


def case_is_coherent() -> None:
    with Device() as ring:
        assert ring.info().flags == COHERENT


def case_is_not_coherent() -> None:
    with Device() as ring:
        assert ring.info().flags == 0


if __name__ == "__main__":
    main(globals())
