# SPDX-License-Identifier: MIT
"""`capturectl partition`: recordings in a partition without a file system; `grant-partition` lets the service write it.

The service runs as a user of its own who may open no block device. What the configuration names in `disk.partition`,
root gives it before each start: the device's group, and the unit's device list, both until the next boot.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

from captured import config, facts
from captured.errors import CapturedError, RefusedError
from captured.partition import Entry, Partition

UNIT = "captured.service"
GROUP = "capture"


def show(device: Path | None, name: str | None, folder: Path) -> dict[str, object]:
    """The recordings of `device`, or recording `name` written into `folder`. Raises RefusedError."""
    path = device or configured()
    try:
        with Partition(path) as medium:
            entries = medium.load()
            if name is not None:
                from captured import partition_recorder

                made = partition_recorder.export(medium, medium.find(name), folder.resolve())
                return {"ok": True, "recording": made, "said": f"{folder / made}.sigmf-data, .sigmf-meta, .sha256"}
            said = [line(entry) for entry in entries] or ["no recordings"]
            free = max(0, medium.size - medium.free_at)
            return {
                "ok": True,
                "recordings": [vars(entry) for entry in entries],
                "free_bytes": free,
                "said": "\n".join([*said, f"{free} bytes are free"]),
            }
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror} (valid: a partition that you may read; try as root)") from error
    except ValueError as error:
        raise RefusedError(str(error)) from error


def line(entry: Entry) -> str:
    """A recording, for a person."""
    note = f": {entry.note}" if entry.note else ""
    return f"{entry.name:24} {entry.bytes:16} bytes in {entry.records} blocks, {entry.state}{note}"


def configured() -> Path:
    """`disk.partition` of the configuration. Raises RefusedError: none is named."""
    found = config.load(config.CONFIG, facts.load()).disk.partition
    if not found:
        raise RefusedError("the configuration names no disk.partition (valid: --device)")
    return Path(found)


def grant() -> dict[str, object]:
    """Let the service open the configured partition; nothing to do when there is none. Raises CapturedError."""
    found = config.load(config.CONFIG, facts.load()).disk.partition
    if not found:
        return {"ok": True, "said": "no disk.partition"}
    try:
        path = Path(found).resolve(strict=True)
        if not stat.S_ISBLK(path.stat().st_mode):
            raise RefusedError(f"disk.partition: {found} (valid: a block device)")
        shutil.chown(path, group=GROUP)
        path.chmod(0o660)
        systemctl = shutil.which("systemctl") or "/usr/bin/systemctl"
        words = [systemctl, "set-property", "--runtime", UNIT, f"DeviceAllow={path} rw"]
        subprocess.run(words, check=True, env={**os.environ, "LC_ALL": "C"})  # noqa: S603  # argv, no shell
    except (OSError, LookupError, subprocess.CalledProcessError) as error:
        raise CapturedError(f"disk.partition: {found}: {error}") from error
    return {"ok": True, "said": f"{UNIT} may write to {path}"}
