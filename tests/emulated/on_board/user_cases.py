# SPDX-License-Identifier: MIT
"""Buffers of user space: pinned, filled by the DMA, dirty, and let go of; runs on the board."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.emulated.on_board import device
from tests.emulated.on_board.cases import main
from tests.emulated.on_board.device import Device, is_counter, refused

PAGE = mmap.PAGESIZE
MIB = 1 << 20


def pins() -> tuple[int, int]:
    """Pages pinned and let go of since boot."""
    if os.getuid() == 0:
        Path("/proc/sys/vm/stat_refresh").read_text()  # each CPU counts for itself; now they are added up
    found = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(found["nr_foll_pin_acquired"]), int(found["nr_foll_pin_released"])


def balanced() -> None:
    """Every page that was pinned has been let go of."""
    acquired, released = pins()
    assert acquired == released, (acquired, released)


def shown() -> dict[str, str]:
    """What the driver shows in debugfs, which the test has mounted."""
    lines = Path("/sys/kernel/debug/capture0/statistics").read_text().splitlines()
    return {name: value for name, value in (line.split("\t") for line in lines)}


def address_of(memory: mmap.mmap, offset: int = 0) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory, offset))


def case_wrong_input_is_refused() -> None:
    memory = mmap.mmap(-1, MIB)
    at = address_of(memory)
    with Device() as ring:
        refused(errno.EINVAL, ring.register, at, PAGE)  # SETUP has not asked for it
        ring.setup(blocks=2, flags=device.USER)
        align = ring.info().alignment
        assert ring.info().map_bytes == 0
        refused(errno.EINVAL, mmap.mmap, ring.fd, 64 * MIB, mmap.MAP_SHARED, mmap.PROT_READ)
        refused(errno.EINVAL, ring.register, at + 4, PAGE)
        refused(errno.EINVAL, ring.register, at, PAGE + align // 2)
        refused(errno.EINVAL, ring.register, at, 0)
        refused(errno.EINVAL, ring.register, at, 17 * MIB)
        refused(errno.EINVAL, ring.register, at, PAGE, 2)
        refused(errno.EINVAL, ring.ioctl, device.REGISTER, device.Buffer(at, PAGE, reserved=(device.U32 * 4)(1)))
        refused(errno.EFAULT, ring.register, 0, PAGE)
        refused(errno.EFAULT, ring.register, 1 << 40, PAGE)
        read_only = mmap.mmap(-1, PAGE, prot=mmap.PROT_READ)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_size_t
        nothing = libc.mmap(0, 2 * PAGE, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0, 0)
        refused(errno.EFAULT, ring.register, nothing, PAGE)
        read_only.close()
        refused(errno.EINVAL, ring.unregister, 0)
        refused(errno.EINVAL, ring.unregister, 5000)
        assert [ring.register(at, PAGE), ring.register(at + PAGE, PAGE)] == [0, 1]
        refused(errno.ENOSPC, ring.register, at + 2 * PAGE, PAGE)
        refused(errno.EBUSY, ring.setup)
        refused(errno.EBUSY, os.read, ring.fd, 4096)
        ring.unregister(0)
        refused(errno.EINVAL, ring.unregister, 0)
        assert ring.register(at + 2 * PAGE, PAGE) == 0, "a free place is taken again"
    balanced()


def case_page_is_in_one_buffer_only() -> None:
    """Two mappings of a page for the DMA at once are against its rules: each would synchronise the other's lines."""
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        os.ftruncate(file.fileno(), 4 * PAGE)
        memory, again = (mmap.mmap(file.fileno(), 4 * PAGE) for _ in range(2))
        with Device() as ring:
            ring.setup(blocks=4, flags=device.USER)
            index = ring.register(address_of(memory), 2 * PAGE)
            refused(errno.EEXIST, ring.register, address_of(memory, PAGE), 2 * PAGE)
            refused(errno.EEXIST, ring.register, address_of(again, PAGE), PAGE)
            assert ring.register(address_of(memory, 2 * PAGE), 2 * PAGE) == 1, "what was refused left nothing behind"
            ring.unregister(index)
            assert ring.register(address_of(again, PAGE), PAGE) == 0
    balanced()


def case_first_offset_and_partial_last_page() -> None:
    """The offset into the first page is `address & ~PAGE_MASK`; what surrounds the buffer is not touched."""
    memory = mmap.mmap(-1, 4 * MIB)
    with Device() as ring:
        ring.setup(blocks=8, flags=device.USER)
        align = ring.info().alignment
        shapes = [(0, PAGE), (align, PAGE), (PAGE - align, 2 * align), (align, PAGE - 2 * align),
                  (0, 3 * PAGE + align), (3 * align, MIB - 5 * align), (0, align)]  # fmt: skip
        for offset, size in shapes:
            memory[:] = b"\xaa" * len(memory)
            index = ring.register(address_of(memory, PAGE + offset), size)
            ring.enqueue([index])
            ring.start()
            (block,) = ring.dequeue(1)
            ring.stop()
            assert (block.index, block.bytes, block.flags) == (index, size, 0)
            first = PAGE + offset
            assert is_counter(memory[first : first + size], 0), (offset, size)
            assert memory[:first] == b"\xaa" * first
            assert memory[first + size :] == b"\xaa" * (len(memory) - first - size)
            ring.unregister(index)
    balanced()


def case_buffers_of_any_kind_of_memory() -> None:
    """Anonymous, shared, memfd, and a private mapping of a file, which never reaches the file."""
    with tempfile.TemporaryFile(dir="/data") as file:
        file.truncate(MIB)
        memfd = os.memfd_create("buffer")
        os.ftruncate(memfd, MIB)
        kinds = {
            "private": mmap.mmap(-1, MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
            "shared": mmap.mmap(-1, MIB),
            "memfd": mmap.mmap(memfd, MIB),
            "private file": mmap.mmap(file.fileno(), MIB, mmap.MAP_PRIVATE),
        }
        with Device() as ring:
            ring.setup(blocks=4, flags=device.USER)
            for kind, memory in kinds.items():
                index = ring.register(address_of(memory), MIB)
                ring.enqueue([index])
                ring.start(flags=device.LIMIT, blocks=3)
                position = 0
                for _ in range(3):
                    (block,) = ring.dequeue(1)
                    assert is_counter(memory[:], position // 4), kind
                    position += block.bytes
                    ring.enqueue([index])
                ring.stop()
                ring.unregister(index)
        assert is_counter(os.pread(memfd, MIB, 0), 2 * MIB // 4), "a file in memory holds what the DMA wrote"
        assert not any(os.pread(file.fileno(), MIB, 0))
        os.close(memfd)
    balanced()


def scattered(size: int) -> tuple[int, memoryview]:
    """Memory whose neighbouring pages are nowhere neighbours: a memfd's, mapped page by page out of order."""
    pages = size // PAGE
    memfd = os.memfd_create("scattered")
    for _ in range(pages):
        os.write(memfd, bytes(PAGE))  # in order, as far as the kernel has pages in a row
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    start = int(libc.mmap(0, size, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0))
    fixed = 0x10
    for place in range(pages):
        at, source = start + place * PAGE, place * 7 % pages
        got = libc.mmap(at, PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED | fixed, memfd, source * PAGE)
        assert got == at, ctypes.get_errno()
    os.close(memfd)
    return start, memoryview((ctypes.c_char * size).from_address(start)).cast("B")


def case_scattered_pages_longer_than_the_descriptor_fifo() -> None:
    """Many more descriptors than the FIFO holds."""
    size = 6 * MIB
    start, memory = scattered(size)
    with Device() as ring:
        ring.setup(blocks=4, flags=device.USER)
        index = ring.register(start, size)
        assert int(shown()["chunks_of_a_block"]) > 1000
        ring.enqueue([index])
        ring.start()
        for turn in range(3):
            (block,) = ring.dequeue(1)
            assert (block.bytes, block.flags) == (size, 0)
            assert is_counter(memory, turn * size // 4)
            ring.enqueue([index])
        ring.stop()
    balanced()


def case_many_buffers_in_order() -> None:
    memory = mmap.mmap(-1, 16 * 65536)
    with Device() as ring:
        ring.setup(blocks=16, flags=device.USER)
        for place in range(16):
            assert ring.register(address_of(memory, place * 65536), 65536) == place
        ring.enqueue(range(16))
        ring.start()
        position = 0
        for _ in range(64):
            (block,) = ring.dequeue(1)
            at = block.index * 65536
            assert is_counter(memory[at : at + 65536], position // 4)
            position += 65536
            ring.enqueue([block.index])
        ring.stop()
        refused(errno.EINVAL, ring.unregister, 99)
    balanced()


def case_locked_memory_is_limited() -> None:
    """RLIMIT_MEMLOCK holds for who may not lock as much as he likes."""
    if os.getuid() == 0:
        command = [sys.executable, "-m", "tests.emulated.on_board.user_cases", "locked_memory_is_limited"]
        subprocess.run(command, user=65534, group="capture", extra_groups=[], check=True)
        balanced()
        return
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
    memory = mmap.mmap(-1, MIB)
    with Device() as ring:
        ring.setup(blocks=4, flags=device.USER)
        refused(errno.ENOMEM, ring.register, address_of(memory), 65536 + PAGE)
        index = ring.register(address_of(memory), 65536)
        refused(errno.ENOMEM, ring.register, address_of(memory, 65536), PAGE)
        ring.unregister(index)
        ring.register(address_of(memory, 65536), 65536)
    with Device() as ring:  # what the last owner had is not counted any more
        ring.setup(blocks=4, flags=device.USER)
        ring.register(address_of(memory), 65536)


def case_buffer_may_be_unmapped_and_its_owner_killed() -> None:
    child = os.fork()
    if not child:
        ring = Device()
        ring.setup(blocks=4, flags=device.USER)
        for _ in range(4):
            memory = mmap.mmap(-1, MIB)
            ring.enqueue([ring.register(address_of(memory), MIB)])
        ring.start()
        libc = ctypes.CDLL(None)
        libc.munmap(ctypes.c_void_p(address_of(memory)), MIB)
        ring.dequeue(2)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    balanced()
    with Device() as ring:
        assert ring.info().map_bytes == 64 * MIB


def case_file_on_a_disk_is_refused_for_long() -> None:
    with tempfile.TemporaryFile(dir="/data") as file:
        file.truncate(MIB)
        memory = mmap.mmap(file.fileno(), MIB)
        with Device() as ring:
            ring.setup(blocks=4, flags=device.USER)
            refused(errno.EOPNOTSUPP, ring.register, address_of(memory), MIB)
            registers = os.open("/dev/mem", os.O_RDWR | os.O_SYNC)
            window = mmap.mmap(registers, PAGE, offset=0xFF3F0000)  # VM_PFNMAP: no memory
            refused(errno.EINVAL, ring.register, address_of(window), PAGE)
            os.close(registers)
    balanced()


def case_dma_into_a_mapped_file() -> None:
    """The question that began it: windows of a file, mapped, filled by the DMA, recorded; argument: file or device."""
    size, window = 24 * MIB, 2 * MIB
    path = Path(sys.argv[2])
    if not path.is_block_device():
        path.write_bytes(b"")
        os.truncate(path, size)
    with path.open("wb" if path.is_block_device() else "ab") as file:
        refused(errno.EACCES, mmap.mmap, file.fileno(), window)
    with path.open("r+b") as file, Device() as ring:
        ring.setup(blocks=4, flags=device.USER)
        pending: list[mmap.mmap] = []
        position = 0
        started = False
        for offset in range(0, size, window):
            memory = mmap.mmap(file.fileno(), window, offset=offset)
            ring.register(address_of(memory), window, device.ONCE)
            pending.append(memory)
            if not started:
                ring.start()
                started = True
            if len(pending) == 3:
                position += take(ring, pending.pop(0), position)
        while pending:
            position += take(ring, pending.pop(0), position)
        ring.stop()
        assert position == size
        counts = ring.statistics()
        assert (counts.blocks_user, counts.blocks_hardware, counts.bytes_lost) == (0, 0, 0)
    balanced()


def take(ring: Device, memory: mmap.mmap, position: int) -> int:
    (block,) = ring.dequeue(1)
    assert block.bytes == len(memory)
    assert is_counter(memory[:], position // 4)
    return int(block.bytes)


def case_check_file() -> None:
    """Arguments: file. Its bytes are the counter's."""
    data = Path(sys.argv[2]).read_bytes()
    assert len(data) == 24 * MIB
    assert is_counter(data, 0)


if __name__ == "__main__":
    main(globals())
