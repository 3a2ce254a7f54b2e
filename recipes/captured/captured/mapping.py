# SPDX-License-Identifier: MIT
"""A read-only mapping of a device that can be revoked while views of it exist.

`mmap.mmap` cannot: it refuses to close while buffers are exported, and it keeps a descriptor of its own. So the mapping
is made with mmap(2) itself, and its view is made from the address. `revoke` replaces the whole range by anonymous
memory in one step (MAP_FIXED): the device's pages are let go, every view stays valid and reads zeros. The range itself
is given back once no view is left, by the next `sweep`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value
_MAP_FIXED = 0x10  # asm-generic/mman-common.h; the module mmap does not name it

_revoked: list[Mapping] = []


class Mapping:
    """`size` bytes of a descriptor, from its offset 0. Raises OSError when it can't be mapped."""

    def __init__(self, fd: int, size: int) -> None:
        """Map; `fd` may be closed afterwards."""
        self._size = size
        self._address = _map(None, size, mmap.MAP_SHARED, fd)
        array = (ctypes.c_char * size).from_address(self._address)
        self._array = weakref.ref(array)  # lives as long as any view, slices and NumPy arrays included
        self.view = memoryview(array).cast("B").toreadonly()

    def revoke(self) -> None:
        """Replace the range by zeros; the device's pages are let go at once."""
        if self in _revoked or not self._address:
            return
        _map(self._address, self._size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED, -1)
        _revoked.append(self)
        sweep()

    def free(self) -> bool:
        """Give the range back if no view is left."""
        self.view = memoryview(b"")
        if self._array() is not None:
            return False
        _libc.munmap(self._address, self._size)
        self._address = 0
        return True


def sweep() -> None:
    """Give back the ranges of revoked mappings that nobody looks at any more."""
    _revoked[:] = [one for one in _revoked if not one.free()]


def _map(address: int | None, size: int, flags: int, fd: int) -> int:
    made = _libc.mmap(address, size, mmap.PROT_READ, flags, fd, 0)
    if made is None or made == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(made)
