# SPDX-License-Identifier: MIT
"""Which writer is the quickest here: the same blocks from page-aligned memory through each, synced at the end.

The service need not run, but a capture that is recorded meanwhile takes its share of the card. `--save` keeps the
result beside the folder of recordings; `disk.writer = "auto"` then means the quickest.
"""

from __future__ import annotations

import json
import mmap
import os
import time
from pathlib import Path

from captured.errors import CapturedError, RefusedError
from captured.retention import free_bytes
from captured.sink_disk import benchmark_file
from captured.writers import ALIGN, WRITERS, open_writer

_MIB = 1 << 20


def run(folder: Path, size: int, block: int, save: bool) -> dict[str, object]:
    """MiB/s of each writer, and the `quickest`. Raises RefusedError (sizes, room), CapturedError (the disk)."""
    if block < ALIGN or block % ALIGN or size < block:
        raise RefusedError(f"--block {block}, --bytes {size} (valid: a block of {ALIGN} times n, at least one of them)")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        room = free_bytes(folder)
        if room < size + 16 * _MIB:
            raise RefusedError(f"{folder}: {room} bytes are free (valid: --bytes at most {max(0, room - 16 * _MIB)})")
        found = {name: round(_measure(name, folder / f".benchmark-{name}", size, block), 2) for name in WRITERS}
        quickest = max(found, key=lambda name: found[name])
        reply = {"ok": True, "mib_per_second": found, "quickest": quickest, "bytes": size, "block_bytes": block}
        if save:
            benchmark_file(folder).write_text(json.dumps(reply) + "\n", encoding="utf-8")
    except OSError as error:
        raise CapturedError(f"{folder}: {error.strerror or error}") from error
    lines = [f"{name:9} {speed:8.2f} MiB/s" for name, speed in found.items()]
    return {**reply, "said": "\n".join([*lines, f"quickest: {quickest}" + (", saved" if save else "")])}


def _measure(name: str, path: Path, size: int, block: int) -> float:
    memory = mmap.mmap(-1, block)
    memory.write(os.urandom(block))
    view = memoryview(memory)
    path.unlink(missing_ok=True)
    writer = open_writer(name, path)
    try:
        writer.reserve(size - size % ALIGN)
        begin = time.monotonic()
        while writer.written + block <= size:
            writer.write(view)
        written = writer.written
        writer.finish()
        return written / _MIB / (time.monotonic() - begin)
    finally:
        writer.close()
        path.unlink(missing_ok=True)
        view.release()
        memory.close()
