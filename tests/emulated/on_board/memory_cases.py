# SPDX-License-Identifier: MIT
"""The mapping as memory: every advice about it returns, and what was captured stays; runs on the board."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import signal
from pathlib import Path

from tests.emulated.on_board import device
from tests.emulated.on_board.cases import main
from tests.emulated.on_board.device import Device, is_counter
from tests.emulated.on_board.user_cases import balanced

MIB = 1 << 20
PAGE = mmap.PAGESIZE
ADVICES = {  # include/uapi/asm-generic/mman-common.h: all but those that poison memory
    "NORMAL": 0, "RANDOM": 1, "SEQUENTIAL": 2, "WILLNEED": 3, "DONTNEED": 4, "FREE": 8, "REMOVE": 9, "DONTFORK": 10,
    "DOFORK": 11, "MERGEABLE": 12, "UNMERGEABLE": 13, "HUGEPAGE": 14, "NOHUGEPAGE": 15, "DONTDUMP": 16, "DODUMP": 17,
    "WIPEONFORK": 18, "KEEPONFORK": 19, "COLD": 20, "PAGEOUT": 21, "POPULATE_READ": 22, "POPULATE_WRITE": 23,
    "DONTNEED_LOCKED": 24, "COLLAPSE": 25,
}  # fmt: skip
RANGES = {"whole": (0, 4 * MIB), "part": (PAGE, PAGE), "across": (MIB - PAGE, 2 * PAGE), "unaligned": (100, PAGE)}
REFUSED = {errno.EINVAL, errno.EACCES, errno.EFAULT, errno.EPERM}
SECONDS = 20


def advise(start: int, advice: int) -> list[int]:
    """What madvise says about each range: 0 or an errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    said = []
    for offset, size in RANGES.values():
        failed = libc.madvise(ctypes.c_void_p(start + offset), ctypes.c_size_t(size), advice)
        said.append(ctypes.get_errno() if failed else 0)
    return said


def address_of(ring: Device) -> int:
    """Where the ring is mapped anew, which only madvise needs."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    size = ctypes.c_size_t(ring.info().map_bytes)
    return int(libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, ring.fd, ctypes.c_long(0)))


def in_time(pid: int) -> bool:
    """Whether the process ends, with status 0, in time; it is killed if not."""
    waiting = select.poll()
    waiting.register(os.pidfd_open(pid), select.POLLIN)
    if not waiting.poll(SECONDS * 1000):
        os.kill(pid, signal.SIGKILL)
        return False
    return os.waitpid(pid, 0)[1] == 0


def case_every_advice_returns() -> None:
    """Each in a process of its own, which has opened the device anew: one that hangs is told from a refusal."""
    for name, advice in ADVICES.items():
        child = os.fork()
        if not child:
            with Device() as ring:
                said = advise(address_of(ring), advice)
                at = dict(zip(RANGES, said, strict=True))
                os._exit(not (at["unaligned"] == errno.EINVAL and set(said) <= REFUSED | {0}))
        assert in_time(child), f"MADV_{name}"


def case_captured_data_outlive_cold_and_pageout() -> None:
    with Device() as ring:
        view = ring.map()
        address = address_of(ring)
        ring.start(flags=device.LIMIT, blocks=4)
        blocks = [ring.dequeue(1)[0] for _ in range(4)]
        for advice in ("COLD", "PAGEOUT"):
            assert advise(address, ADVICES[advice]) == [0, 0, 0, errno.EINVAL], advice
        for block in blocks:
            assert is_counter(view[block.index * MIB :][:MIB], block.sequence * MIB // 4)
        view.release()


def case_munmap_leaves_a_hole_and_a_fixed_mapping_none() -> None:
    """A file is mapped over memory of our own: munmap() does not bring that back, another mapping in its place does."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    both, fixed, anonymous, offset = mmap.PROT_READ | mmap.PROT_WRITE, 0x10, mmap.MAP_ANONYMOUS, ctypes.c_long(0)
    size, zero = ctypes.c_size_t(PAGE), os.open("/dev/zero", os.O_RDONLY)
    memory = ctypes.c_void_p(libc.mmap(None, size, both, mmap.MAP_PRIVATE | anonymous, -1, offset))
    file = os.memfd_create("file")
    os.ftruncate(file, PAGE)
    assert libc.read(zero, memory, size) == PAGE
    for leave in ("munmap", "replace"):
        assert libc.mmap(memory, size, both, mmap.MAP_SHARED | fixed, file, offset) == memory.value
        assert libc.read(zero, memory, size) == PAGE
        if leave == "replace":
            libc.mmap(memory, size, both, mmap.MAP_PRIVATE | anonymous | fixed, -1, offset)
            assert libc.read(zero, memory, size) == PAGE
        else:
            libc.munmap(memory, size)
            assert (libc.read(zero, memory, size), ctypes.get_errno()) == (-1, errno.EFAULT)
    libc.munmap(memory, size)
    os.close(file)
    os.close(zero)


def case_owner_that_runs_out_of_memory_leaves_nothing_behind() -> None:
    """Killed by the kernel in the middle of a capture, with the ring's blocks dequeued, and with buffers of its own."""
    for flags in (0, device.USER):
        group = Path("/sys/fs/cgroup/owner")
        group.mkdir()
        (group / "memory.max").write_text(str(24 * MIB))
        child = os.fork()
        if not child:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            ring = Device()
            ring.setup(blocks=4, flags=flags)
            hold(ring, flags)
            kept = []
            while True:
                kept.append(b"\x01" * MIB)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        events = dict(line.split() for line in (group / "memory.events").read_text().splitlines())
        assert int(events["oom_kill"]) >= 1
        group.rmdir()
        balanced()
        with Device() as ring:
            assert ring.info().map_bytes == 64 * MIB
            assert ring.statistics().blocks_free == 64


def hold(ring: Device, flags: int) -> None:
    """Have a capture running, and two blocks, or buffers, in hand."""
    if flags & device.USER:
        for _ in range(4):
            memory = mmap.mmap(-1, MIB)
            start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            ring.enqueue([ring.register(start, MIB)])
    else:
        ring.map()
    ring.start()
    ring.dequeue(2)


if __name__ == "__main__":
    main(globals())
