# SPDX-License-Identifier: MIT
"""Damage in the running slot: blocks that are not those that were installed, by the kernel's dm-verity.

What reads such a block gets an error, and the kernel says so in its log once (`found`). A slot is read whole before its
trial may pass, and once a week, an hour after power-on at first, slowly (field-update-verify.timer): `read_slot`.
A slot without a hash tree has no /dev/dm-0: nothing can be said of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

KMSG, MAPPED, NAME = Path("/dev/kmsg"), Path("/dev/dm-0"), Path("/sys/block/dm-0/dm/name")
BLOCK_BYTES = 4096
CHUNK_BYTES = 1 << 20
RECORD_BYTES = 8192  # of /dev/kmsg at most (Documentation/ABI/testing/dev-kmsg)
REST = 4.0  # a slow reading rests so many times what a chunk took: a recording has the card
_CORRUPTED = re.compile(r"device-mapper: verity: \S+ (data|metadata) block (\d+) is corrupted")


class Damage(NamedTuple):
    """How many blocks of 4096 bytes cannot be read, and the first of them, counted from the slot's start."""

    blocks: int
    first: int

    def __str__(self) -> str:
        """For a person."""
        where = f"the first at {self.first * BLOCK_BYTES:#x} of the slot"
        return f"{self.blocks} damaged block{'s' * (self.blocks != 1)}, {where}"


def is_checked(name: Path = NAME) -> bool:
    """Whether the root is read through dm-verity."""
    try:
        return name.read_text(encoding="utf-8").strip() == "root"
    except OSError:
        return False


def found(kmsg: Path = KMSG) -> str:
    """What the kernel has found damaged since it was started, or an empty text."""
    blocks: set[tuple[str, ...]] = set()
    with contextlib.suppress(OSError):
        descriptor = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK)
        try:
            for record in _records(descriptor):
                blocks.update(match.groups() for match in _CORRUPTED.finditer(record))
        finally:
            os.close(descriptor)
    if not blocks:
        return ""
    kind, number = min(blocks, key=lambda each: int(each[1]))
    return f"the slot is damaged: {len(blocks)} of the blocks that were read, {kind} block {number} the first"


def _records(descriptor: int) -> list[str]:
    records: list[str] = []
    while True:
        try:
            record = os.read(descriptor, RECORD_BYTES)
        except BlockingIOError:  # that was the last
            return records
        except BrokenPipeError:  # overwritten meanwhile: the next read goes on behind it
            continue
        if not record:  # a plain file of a test
            return records
        records.append(record.decode(errors="replace"))


def read_slot(
    gently: bool = False, device: Path = MAPPED, rest: Callable[[float], None] = time.sleep
) -> tuple[int, Damage | None]:
    """Read the running slot whole, past the page cache's copy: its bytes, and its damage. Raises OSError."""
    count, first, at = 0, 0, 0
    descriptor = os.open(device, os.O_RDONLY)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        while at < size:
            started = time.monotonic()
            try:
                step = len(os.pread(descriptor, CHUNK_BYTES, at))
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                count, first, step = count + 1, first if count else at // BLOCK_BYTES, BLOCK_BYTES
            os.posix_fadvise(descriptor, at, step, os.POSIX_FADV_DONTNEED)
            at += step
            if gently:
                rest((time.monotonic() - started) * REST)
    finally:
        os.close(descriptor)
    return size, Damage(count, first) if count else None
