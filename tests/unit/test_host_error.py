# SPDX-License-Identifier: MIT
"""A full disk, or a folder of somebody else, is one error and no traceback; a bug stays one."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.exceptions import Exit

import tasks
from firmware import host_error

pytestmark = pytest.mark.unit


def told(error: OSError) -> str:
    """What a task that fails by `error` prints, its exit status in front."""

    def body() -> None:
        raise error

    with pytest.raises(Exit) as caught:
        tasks.guarded(body)()
    return f"{caught.value.code} {caught.value}"


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=(place == tmp_path) << 30))
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    said = host_error.explain(error, [tmp_path, tmp_path.parent / "none" / "yet"])
    assert str(said).startswith(f"no room: 0 MiB left at {tmp_path.parent}/none/yet (valid: room on that disk, ")
    assert told(error).startswith("2 error: no room: ")


def test_file_that_finds_no_room_is_named() -> None:
    assert told(OSError(errno.EDQUOT, "Disk quota exceeded", "/x/y")).startswith("2 error: no room: /x/y (valid: ")


def test_folder_that_may_not_be_written_is_named() -> None:
    said = told(OSError(errno.EROFS, os.strerror(errno.EROFS), "/x/y"))
    assert said == "2 error: /x/y: Read-only file system (valid: a place that this user may read and write)"


@pytest.mark.parametrize("error", [OSError(errno.EBADF, "Bad file descriptor"), FileNotFoundError("x")])
def test_bug_stays_one(error: OSError) -> None:
    def body() -> None:
        raise error

    with pytest.raises(type(error)):
        tasks.guarded(body)()
