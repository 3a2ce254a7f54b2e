# SPDX-License-Identifier: MIT
"""Damage in the running slot: blocks that cannot be read, or are not those that were installed, by dm-verity.

What reads such a block gets an error, and the kernel says so in its log (`found`). Before an attempt is given back,
what U-Boot has read of the slot, unchecked, is read once more (`read_boot`). A slot is read whole before its trial may
pass, and once a week, an hour after power-on at first, slowly (field-update-verify.timer): `read_slot`. Of a root that
is not read through dm-verity (/dev/dm-0) nothing can be said.
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

KMSG, SYS, MAPPED, BOOT = Path("/dev/kmsg"), Path("/sys"), Path("/dev/dm-0"), Path("/boot")
MARK = BOOT / "verity"
BLOCK_BYTES, SECTORS = 4096, 8  # of a block
CHUNK_BYTES, GENTLE_BYTES = 1 << 20, 128 << 10
RECORD_BYTES = 8192  # of /dev/kmsg at most (Documentation/ABI/testing/dev-kmsg)
REST = 4.0  # a slow reading rests so many times what a chunk took: a recording has the card
BLOCKS_MAX = 100  # an error of the card takes seconds: after so many the rest is not read


class Beneath(NamedTuple):
    """The partition beneath the root: `device` as major:minor, `disk` that it is on, `start` and `size` in sectors."""

    device: str
    disk: str
    start: int
    size: int


class Damage(NamedTuple):
    """How many blocks of 4096 bytes cannot be read, and the first of them, counted from the slot's start."""

    blocks: int
    first: int

    def __str__(self) -> str:
        """For a person."""
        many = f"{self.blocks} damaged block{'s' * (self.blocks != 1)}"
        return (
            f"{many}{' or more' * (self.blocks >= BLOCKS_MAX)}, the first at {self.first * BLOCK_BYTES:#x} of the slot"
        )


def beneath(sys: Path = SYS) -> Beneath | None:
    """The slot's partition, when the root is read through dm-verity."""
    mapped = sys / "block/dm-0"
    try:
        if (mapped / "dm/name").read_text(encoding="utf-8").strip() != "root":
            return None
        (slave,) = (mapped / "slaves").iterdir()
        place = (sys / "class/block" / slave.name).resolve()
        device, start, size = ((place / fact).read_text(encoding="utf-8").strip() for fact in ("dev", "start", "size"))
        return Beneath(device, place.parent.name, int(start), int(size))
    except (OSError, ValueError):
        return None


def found(kmsg: Path = KMSG, sys: Path = SYS) -> str:
    """What the kernel has found damaged of the slot since it was started, or an empty text."""
    if (slot := beneath(sys)) is None:
        return ""
    # drivers/md/dm-verity-target.c, block/blk-core.c; a bundle is read through dm-verity, too: no other device counts
    corrupted = re.compile(rf"device-mapper: verity: {slot.device}: \w+ block (\d+) is corrupted")
    unreadable = re.compile(rf"I/O error, dev {re.escape(slot.disk)}, sector (\d+) op 0x0:")
    blocks: set[int] = set()
    for record in _records(kmsg):
        blocks.update(int(number) for number in corrupted.findall(record))
        sectors = (int(number) - slot.start for number in unreadable.findall(record))
        blocks.update(sector // SECTORS for sector in sectors if 0 <= sector < slot.size)
    if not blocks:
        return ""
    return f"the slot is damaged: {len(blocks)} of the blocks that were read, block {min(blocks)} the first"


def _records(kmsg: Path) -> list[str]:
    records: list[str] = []
    with contextlib.suppress(OSError):
        descriptor = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while record := _next(descriptor):
                records.append(record)
        finally:
            os.close(descriptor)
    return records


def _next(descriptor: int) -> str:
    while True:
        try:
            return os.read(descriptor, RECORD_BYTES).decode(errors="replace")
        except BlockingIOError:  # that was the last
            return ""
        except BrokenPipeError:  # overwritten meanwhile: the next read goes on behind it
            continue


def read_boot(folder: Path = BOOT) -> None:
    """Read what U-Boot loads: it checks nothing, and Linux has no use for it. What is damaged, `found` tells then."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        with contextlib.suppress(OSError):
            path.read_bytes()


def read_slot(
    gently: bool = False,
    limit: int = BLOCKS_MAX,
    device: Path = MAPPED,
    rest: Callable[[float], None] = time.sleep,
) -> tuple[int, Damage | None]:
    """Read the slot's file system, not the page cache's copy, up to the `limit`-th damaged block. Raises OSError.

    Its bytes, and its damage.
    """
    count, first, at, chunk = 0, 0, 0, GENTLE_BYTES if gently else CHUNK_BYTES
    descriptor = os.open(device, os.O_RDONLY)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        while at < size and count < limit:
            started = time.monotonic()
            try:
                step = len(os.pread(descriptor, chunk, at))
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
