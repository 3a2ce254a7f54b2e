# SPDX-License-Identifier: MIT
"""What is done beside the writing: nothing waits for it that need not, and nothing is claimed that is not sure."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from captured import recording
from captured.beside import LAG_BLOCKS, Follower, Syncer
from captured.config import Disk
from captured.partition import WHOLE, Partition
from captured.partition_recorder import PartitionRecorder
from captured.recorder import Recorder

from tests.unit.test_service import PATIENCE, Bench
from tests.unit.test_service_disk import MIB, SOURCE, data_of, header, running
from tests.unit.test_service_partition import disk as medium
from tests.unit.test_service_partition import recorder as partition_recorder

__all__ = ["medium", "running"]
pytestmark = pytest.mark.unit
A_MOMENT = 0.2  # how long a thing that must not happen is waited for


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(folder=tmp_path / "recordings", min_free_bytes=0, sync_seconds=3600, sync_bytes=4 * MIB)


class Gate:
    """A job that ends when it may; with an error if there is one."""

    def __init__(self, error: OSError | None = None) -> None:
        self.open = threading.Event()
        self.begun = 0
        self._error = error

    def order(self) -> Callable[[], None]:
        return self._run

    def _run(self) -> None:
        self.begun += 1
        assert self.open.wait(PATIENCE)
        if self._error:
            raise self._error


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()


def beside(what: Callable[[], Any]) -> threading.Thread:
    made = threading.Thread(target=what, daemon=True)
    made.start()
    return made


def test_sync_begins_at_half_of_the_window_and_is_waited_for_at_its_end(disk: Disk, gate: Gate) -> None:
    syncer = Syncer(disk)
    syncer.look(2 * MIB - 1, gate.order)
    assert syncer._pending is None
    syncer.look(2 * MIB, gate.order)
    syncer.look(4 * MIB - 1, gate.order)
    assert syncer.safe == 0
    late = beside(lambda: syncer.look(4 * MIB, gate.order))
    late.join(A_MOMENT)
    assert late.is_alive(), "more than the window would not be on the medium"
    gate.open.set()
    late.join(PATIENCE)
    assert syncer.safe == 2 * MIB
    syncer.wait()
    assert (syncer.safe, gate.begun) == (4 * MIB, 2), "what had come meanwhile was half a window again"


def test_sync_begins_after_half_of_the_time_also_when_little_was_written(disk: Disk, gate: Gate) -> None:
    now = [100.0]
    syncer = Syncer(replace(disk, sync_seconds=2), lambda: now[0])
    syncer.look(0, gate.order)
    now[0] = 200.0
    syncer.look(0, gate.order)
    assert syncer._pending is None, "there is nothing to sync"
    syncer.look(1, gate.order)
    gate.open.set()
    syncer.wait()
    assert syncer.safe == 1
    now[0] += 0.9
    syncer.look(2, gate.order)
    assert syncer._pending is None
    now[0] += 0.1
    syncer.look(2, gate.order)
    assert syncer._pending is not None


def test_sync_that_failed_is_said_once_and_nothing_is_safe_behind_it(disk: Disk) -> None:
    syncer, gate = Syncer(disk), Gate(OSError(errno.EIO, "bad"))
    gate.open.set()
    syncer.look(2 * MIB, gate.order)
    with pytest.raises(OSError, match="bad"):
        syncer.wait()
    assert (syncer.safe, syncer.failed) == (0, True)
    syncer.wait()


def test_blocks_are_given_back_in_order_behind_their_checksum(ring: memoryview) -> None:
    follower, gate, back = Follower(), Gate(), list[int]()
    follower.restart(checksum=True)
    follower.after(gate.order())
    for number in range(LAG_BLOCKS):
        follower.update(ring[number * MIB : (number + 1) * MIB])
        follower.after(partial(back.append, number))
    late = beside(lambda: follower.update(ring[:MIB]))
    late.join(A_MOMENT)
    assert late.is_alive(), "the ring would be held for the checksum"
    assert back == []
    gate.open.set()
    late.join(PATIENCE)
    whole = bytes(ring[: LAG_BLOCKS * MIB]) + bytes(ring[:MIB])
    assert follower.digest() == hashlib.sha256(whole).hexdigest()
    follower.restart(checksum=False)
    follower.update(ring[:MIB])
    assert follower.digest() is None
    follower.close()
    assert back == list(range(LAG_BLOCKS))


def failing(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """fdatasync(2) fails at those calls, counted from now on, and says that all is well at the others."""
    sync, calls = os.fdatasync, [0]

    def once(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] - 1 in numbers:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", once)


def end(made: Recorder | PartitionRecorder) -> None:
    """Finish, which fails, and keep what can be kept, as the recording's thread does."""
    with pytest.raises(OSError, match="Input/output error") as caught:
        made.finish()
    made.save(caught.value)
    made.close()


def test_failed_sync_leaves_what_was_safe_before_it_and_claims_no_more(
    ring: memoryview, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Recorder(replace(disk, sync_bytes=2 * MIB), "direct", "take", SOURCE)
    made.write(header(0), ring[:MIB])
    made._syncer.wait()
    failing(monkeypatch, 0)
    made.write(header(1), ring[MIB : 2 * MIB])
    end(made)
    assert made.progress.error == f"Input/output error; {MIB} bytes are whole, what came after them is not"
    assert data_of(disk.folder, "take") == bytes(ring[:MIB])
    assert made.progress.done == ["take"]


def test_file_whose_last_sync_fails_is_cut_to_what_was_safe_and_not_removed(
    ring: memoryview, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Recorder(replace(disk, sync_bytes=2 * MIB), "direct", "take", SOURCE)
    made.write(header(0), ring[:MIB])
    made._syncer.wait()
    made._syncer.settle(MIB)
    made.write(header(1, size=1000), ring[MIB : MIB + 1000])
    failing(monkeypatch, 0)
    end(made)
    assert f"; {MIB} bytes are whole" in made.progress.error
    assert data_of(disk.folder, "take") == bytes(ring[:MIB])
    assert not recording.named(disk.folder, "take", recording.JOURNAL).exists()


def test_failed_sync_of_a_partition_leaves_what_its_index_says(
    ring: memoryview, medium: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = partition_recorder(replace(medium, sync_bytes=2 * MIB))
    made.write(header(0), ring[:MIB])
    made._syncer.wait()
    failing(monkeypatch, 0)
    made.write(header(1), ring[MIB : 2 * MIB])
    end(made)
    assert f"; {MIB} bytes are whole" in made.progress.error
    with Partition(Path(medium.partition)) as found:
        (entry,) = found.load()
        assert (entry.state, entry.records, entry.bytes) == (WHOLE, 1, MIB)
        assert "Input/output error" in entry.note
        assert b"".join(payload for _head, payload in found.records(entry)) == bytes(ring[:MIB])


def test_recording_that_gets_nothing_for_a_while_is_synced_nevertheless(running: Bench) -> None:
    running.config_path.write_text(running.config_path.read_text() + "sync_seconds = 1\n")
    running.ask("reload")
    running.ask("record", name="slow", start=True)
    running.ask_until(lambda seen: any(sink.get("written", 0) > 0 for sink in seen["sinks"]))
    running.ring.paused = True
    running.ask_until(lambda seen: any(0 < sink.get("synced", 0) == sink["written"] for sink in seen["sinks"]))
