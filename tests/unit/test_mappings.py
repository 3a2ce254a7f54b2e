# SPDX-License-Identifier: MIT
"""What Linux does with mappings of a file, where docs/answers.md relies on it: no board is needed for that.

Where a wrong way would kill the process, a child of ours goes it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
PAGE = mmap.PAGESIZE
BOTH = mmap.PROT_READ | mmap.PROT_WRITE
FIXED = 0x10  # MAP_FIXED of Linux, on every machine that we name
MS_SYNC = 4  # msync(2)
BLOCKS = 4
ROUNDS = 20_000  # the wrong way ends after a few
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_size_t
LIBC.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.memcpy.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
LIBC.munmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
LIBC.msync.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]


def anonymous(where: int = 0) -> int:
    """Address of a page of memory; at `where` in place of what is there, otherwise anywhere."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | (FIXED if where else 0)
    return int(LIBC.mmap(where, PAGE, BOTH, flags, -1, 0))


def window(where: int, file: int, block: int = 0) -> None:
    """Map a block of the file at `where`, in place of what is there."""
    assert LIBC.mmap(where, PAGE, BOTH, mmap.MAP_SHARED | FIXED, file, block * PAGE) == where


def blocks_of(path: Path) -> list[int]:
    """First byte of each block."""
    return list(path.read_bytes()[::PAGE])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(bytes(BLOCKS * PAGE))
    return tmp_path / "file"


@pytest.fixture
def file(place: Path) -> Iterator[int]:
    descriptor = os.open(place, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def buffer() -> Iterator[int]:
    """Address of a page, as posix_memalign would give it."""
    address = anonymous()
    yield address
    LIBC.munmap(address, PAGE)


def test_file_that_is_open_for_writing_alone_cannot_be_mapped(place: Path) -> None:
    descriptor = os.open(place, os.O_WRONLY)
    with pytest.raises(PermissionError) as caught:
        mmap.mmap(descriptor, PAGE, mmap.MAP_SHARED, mmap.PROT_WRITE)
    os.close(descriptor)
    assert caught.value.errno == errno.EACCES


def test_buffer_that_was_filled_before_the_file_is_mapped_over_it_is_lost(place: Path, file: int, buffer: int) -> None:
    ctypes.memset(buffer, ord("x"), PAGE)
    window(buffer, file)
    byte = ctypes.c_ubyte.from_address(buffer)
    assert byte.value == 0, "the file's page is there now, not the buffer's"
    byte.value = byte.value  # rewriting a byte, to make the page dirty, writes what is there: a zero
    LIBC.msync(buffer, PAGE, MS_SYNC)
    assert blocks_of(place) == [0] * BLOCKS


def test_window_that_is_mapped_first_is_recorded(place: Path, file: int, buffer: int) -> None:
    for block in range(BLOCKS):
        window(buffer, file, block)
        ctypes.memset(buffer, block + 1, PAGE)
    assert blocks_of(place) == [1, 2, 3, 4]


def test_msync_in_place_of_munmap_puts_each_block_where_the_one_before_belongs(
    place: Path, file: int, buffer: int
) -> None:
    for block in range(BLOCKS):
        ctypes.memset(buffer, block + 1, PAGE)  # goes into the window of the round before
        window(buffer, file, block)
        LIBC.msync(buffer, PAGE, MS_SYNC)
    assert blocks_of(place) == [2, 3, 4, 0], "the first is lost, and the last place is empty"


def test_file_is_let_go_by_what_replaces_its_mapping(place: Path, file: int, buffer: int) -> None:
    ctypes.memset(buffer, 0, PAGE)
    window(buffer, file)
    ctypes.memset(buffer, ord("x"), PAGE)
    assert str(place) in Path("/proc/self/maps").read_text()
    anonymous(buffer)
    assert str(place) not in Path("/proc/self/maps").read_text()
    assert ctypes.string_at(buffer, PAGE) == bytes(PAGE), "who still looks reads zeros"
    assert blocks_of(place)[0] == ord("x"), "and the file keeps what it has"


def look_while_it_is_replaced(place: Path, at_once: bool) -> None:
    """One thread reads a mapping of the file; the other replaces it, in one call or in two, again and again.

    Both do their work inside calls of C, which hold no lock of Python's: who reads in Python keeps the other waiting
    for its turn, milliseconds at each call.
    """
    address, descriptor, ended, seen = anonymous(), os.open(place, os.O_RDWR), threading.Event(), set[int]()

    def look() -> None:
        byte = ctypes.create_string_buffer(1)
        while not ended.is_set():
            LIBC.memcpy(byte, address, 1)
            seen.add(byte.raw[0])

    thread = threading.Thread(target=look, daemon=True)  # what fails here ends the process
    thread.start()
    rounds = 0
    while rounds < ROUNDS or not seen >= {0, ord("x")}:
        window(address, descriptor)
        if not at_once:
            LIBC.munmap(address, PAGE)
        anonymous(address)
        rounds += 1
    ended.set()
    thread.join()
    os._exit(0 if seen == {0, ord("x")} else 1)


@pytest.mark.parametrize(("at_once", "status"), [(False, -signal.SIGSEGV), (True, 0)])
def test_mapping_may_be_replaced_under_a_thread_that_looks_at_it(place: Path, at_once: bool, status: int) -> None:
    place.write_bytes(b"x" * PAGE)
    child = multiprocessing.get_context("spawn").Process(target=look_while_it_is_replaced, args=(place, at_once))
    child.start()
    child.join(60)
    child.kill()
    child.join()
    assert child.exitcode == status
