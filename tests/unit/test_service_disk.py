# SPDX-License-Identifier: MIT
# stand-ins: their names say what they do
"""Recordings: every writer writes what was captured, a failing disk is said and stops nothing, a cut is repaired."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sigmf
from captured import recording, retention, writers
from captured.config import Disk
from captured.errors import RefusedError
from captured.record import FLAG_GAP, Header
from captured.recorder import Recorder, Source
from captured.sink_disk import chosen_writer

from firmware.receiver import Receiver
from tests.unit.test_service import Bench

pytestmark = pytest.mark.unit
MIB = 1 << 20
SOURCE = Source("de0-nano-soc", "counter", 4_000_000, None)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(folder=tmp_path / "recordings", min_free_bytes=0, sync_seconds=3600)


def header(sequence: int = 0, flags: int = 0, lost: int = 0, size: int = MIB) -> Header:
    return Header(flags, size, sequence, sequence * 1000, lost, 1)


def data_of(folder: Path, name: str) -> bytes:
    return recording.named(folder, name, recording.DATA).read_bytes()


def meta_of(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(recording.named(folder, name, recording.META).read_text())
    return found


@pytest.mark.parametrize("writer", sorted(writers.WRITERS))
def test_every_writer_writes_what_it_is_given(ring: memoryview, disk: Disk, writer: str) -> None:
    made = Recorder(disk, writer, "take", SOURCE)
    made.write(header(0), ring[:MIB])
    made.write(header(1, FLAG_GAP, 400), ring[MIB : 2 * MIB])
    made.write(header(2, size=1000), ring[2 * MIB : 2 * MIB + 1000])
    made.finish()
    assert made.progress.writer == writer, "O_DIRECT is there"
    assert data_of(disk.folder, "take") == bytes(ring[: 2 * MIB + 1000])
    assert sorted(path.suffix for path in disk.folder.iterdir()) == [".sha256", ".sigmf-data", ".sigmf-meta"]
    said = recording.named(disk.folder, "take", recording.SHA).read_text()
    assert said == f"{hashlib.sha256(data_of(disk.folder, 'take')).hexdigest()}  take.sigmf-data\n"


def test_metadata_is_sigmf_and_gaps_are_annotations(ring: memoryview, disk: Disk) -> None:
    made = Recorder(disk, "direct", "take", SOURCE)
    made.write(header(5), ring[:MIB])
    made.write(header(8, FLAG_GAP, 2 * MIB), ring[MIB : 2 * MIB])
    made.finish()
    found = sigmf.sigmffile.fromfile(str(recording.named(disk.folder, "take", recording.META)))
    found.validate()
    assert (found.sample_rate, found.datatype) == (1_000_000, "ru32_le")
    assert len(found) == 2 * MIB // 4
    notes = found.get_annotations()
    assert [(note["core:sample_start"], note["core:sample_count"], note["core:label"]) for note in notes] == [
        (MIB // 4, MIB // 4, "gap")
    ]
    assert notes[0]["cyclone_capture:lost_bytes"] == 2 * MIB
    assert found.get_captures()[0]["cyclone_capture:sequence"] == 5


def test_rotation_by_size_and_by_time(ring: memoryview, disk: Disk) -> None:
    now = [0.0]
    made = Recorder(replace(disk, rotate_bytes=2 * MIB, rotate_seconds=60), "direct", "take", SOURCE, lambda: now[0])
    for number in range(3):
        made.write(header(number), ring[:MIB])
    now[0] = 60
    made.write(header(3), ring[:MIB])
    made.finish()
    assert made.progress.done == ["take", "take-1", "take-2"]
    assert [len(data_of(disk.folder, name)) // MIB for name in made.progress.done] == [2, 1, 1]
    assert meta_of(disk.folder, "take-1")["captures"][0]["cyclone_capture:sequence"] == 2
    assert meta_of(disk.folder, "take-1")["global"]["cyclone_capture:part"] == 1


def test_an_earlier_recording_is_never_written_over(ring: memoryview, disk: Disk) -> None:
    for _ in range(2):
        made = Recorder(disk, "direct", "take", SOURCE)
        made.write(header(), ring[:MIB])
        made.finish()
    assert retention.whole(disk.folder) == ["take", "take-1"]


@pytest.mark.parametrize(("limit", "left"), [({"keep_files": 2}, 3), ({"keep_bytes": 2 * MIB}, 3)])
def test_retention_removes_the_oldest(ring: memoryview, disk: Disk, limit: dict[str, Any], left: int) -> None:
    made = Recorder(replace(disk, rotate_bytes=MIB, **limit), "direct", "take", SOURCE)
    for number in range(6):
        made.write(header(number), ring[:MIB])
    made.finish()
    names = retention.whole(disk.folder)
    assert len(names) == left, "the limit holds when a file is begun, and one is added then"
    assert names[-1] == "take-5"
    assert "take" not in names


def test_retention_goes_by_the_order_of_recordings_also_when_the_clock_is_set_back(
    ring: memoryview, disk: Disk
) -> None:
    for number in range(3):
        made = Recorder(replace(disk, keep_files=2), "direct", f"take-{number}", SOURCE)
        made.write(header(), ring[:MIB])
        if number == 0:  # as if the clock was a year ahead then
            ahead = time.time() + 365 * 86400
            os.utime(recording.named(disk.folder, "take-0", recording.PART), (ahead, ahead))
        made.finish()
    assert retention.whole(disk.folder) == ["take-0", "take-1", "take-2"]
    last = Recorder(replace(disk, keep_files=2), "direct", "take-3", SOURCE)
    last.write(header(), ring[:MIB])
    last.finish()
    assert retention.whole(disk.folder) == ["take-1", "take-2", "take-3"]


def test_full_disk_removes_the_oldest_or_stops_as_configured(
    ring: memoryview, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Recorder(disk, "direct", "old", SOURCE)
    old.write(header(), ring[:MIB])
    old.finish()
    monkeypatch.setattr(retention, "free_bytes", lambda folder: 2 * MIB - len(list(folder.glob("*.sigmf-data"))) * MIB)
    full = replace(disk, min_free_bytes=MIB, rotate_bytes=MIB)
    with pytest.raises(OSError, match="0 bytes may be written") as caught:
        Recorder(full, "direct", "new", SOURCE).write(header(), ring[:MIB])
    assert caught.value.errno == errno.ENOSPC
    made = Recorder(replace(full, when_full="delete-oldest"), "direct", "new", SOURCE)
    made.write(header(), ring[:MIB])
    made.finish()
    assert retention.whole(disk.folder) == ["new"]


def test_disk_that_fills_up_keeps_what_was_written(
    ring: memoryview, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Recorder(disk, "direct", "take", SOURCE)
    made.write(header(0), ring[:MIB])
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(*_: Any) -> int:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(OSError, match="No space left"):
            made.write(header(1), ring[MIB : 2 * MIB])
    made.save(full)
    assert made.progress.error == f"No space left on device; {MIB} bytes are whole, what came after them is not"
    assert made.progress.done == ["take"]
    assert data_of(disk.folder, "take") == bytes(ring[:MIB])
    sigmf.sigmffile.fromfile(str(recording.named(disk.folder, "take", recording.META))).validate()


def cut(folder: Path, name: str) -> bytes:
    return recording.named(folder, name, recording.PART).read_bytes()


class NeverDone:
    """A sync that is under way when the power goes."""

    def submit(self, _sync: Any) -> Future[None]:
        """A future without an end."""
        return Future()


def test_power_cut_loses_at_most_the_stated_window_and_is_repaired(
    ring: memoryview, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Recorder(replace(disk, sync_bytes=2 * MIB), "direct", "take", SOURCE)
    for number in range(2):
        made.write(header(number, FLAG_GAP if number == 1 else 0, 8 if number == 1 else 0), ring[:MIB])
    made._syncer.wait()
    monkeypatch.setattr(made._syncer, "_pool", NeverDone())
    made.write(header(2), ring[:MIB])
    assert made.progress.synced == 2 * MIB
    assert len(cut(disk.folder, "take")) > 3 * MIB, "preallocated: its length says nothing"
    assert not list(disk.folder.glob("*.sigmf-meta"))
    # the process is gone here, as after kill -9 or a power cut
    said = recording.repair(disk.folder)
    assert said == [f"take: cut off while it was written; cut to the last synced window, {2 * MIB} bytes"]
    assert data_of(disk.folder, "take") == bytes(ring[:MIB]) * 2
    found = sigmf.sigmffile.fromfile(str(recording.named(disk.folder, "take", recording.META)))
    found.validate()
    assert "cut off" in found.get_global_info()["cyclone_capture:repaired"]
    assert [note["core:label"] for note in found.get_annotations()] == ["gap"]
    assert recording.repair(disk.folder) == [], "only once"


@pytest.mark.parametrize("damage", [b"", b"0000", b"0000 {", b"deadbeef {}\n", b"\xff\xfe\n", b"\0" * 4096])
def test_journal_that_was_cut_ends_at_its_last_good_line(ring: memoryview, disk: Disk, damage: bytes) -> None:
    made = Recorder(replace(disk, sync_bytes=MIB), "direct", "take", SOURCE)
    made.write(header(), ring[:MIB])
    made._syncer.wait()
    journal = recording.named(disk.folder, "take", recording.JOURNAL)
    with journal.open("ab") as stream:
        stream.write(damage)
    recording.repair(disk.folder)
    assert data_of(disk.folder, "take") == bytes(ring[:MIB])


def test_cut_before_the_first_window_leaves_nothing_behind(ring: memoryview, disk: Disk) -> None:
    made = Recorder(disk, "direct", "take", SOURCE)
    made.write(header(), ring[:MIB])
    assert recording.repair(disk.folder) == ["take: removed: it was cut off before its first window"]
    assert list(disk.folder.iterdir()) == []


def test_cut_between_the_last_rename_and_the_journals_end(ring: memoryview, disk: Disk) -> None:
    made = Recorder(disk, "direct", "take", SOURCE)
    made.write(header(), ring[:MIB])
    journal = recording.named(disk.folder, "take", recording.JOURNAL)
    kept = journal.read_bytes()
    made.finish()
    journal.write_bytes(kept)
    assert recording.repair(disk.folder) == ["take: whole"]
    assert data_of(disk.folder, "take") == bytes(ring[:MIB])


def test_blocks_of_512_kib_go_beyond_256_gb(ring: memoryview, disk: Disk) -> None:
    """A sparse medium: the writer's place is moved to the end of what such a recording would fill."""
    disk.folder.mkdir()
    path = disk.folder / "sparse"
    for name in ("direct", "buffered", "mmap"):
        writer = writers.open_writer(name, path)
        writer.written = 256 * 10**9 // (512 << 10) * (512 << 10)
        begin = writer.written
        for _ in range(3):
            writer.write(ring[: 512 << 10])
        writer.sync()
        writer.close()
        with path.open("rb") as stream:
            stream.seek(begin)
            assert stream.read(3 * (512 << 10)) == bytes(ring[: 512 << 10]) * 3, name
        path.unlink()


def test_writer_is_the_benchmarks_or_direct(disk: Disk) -> None:
    assert chosen_writer(disk) == "direct"
    saved = disk.folder.parent / "benchmark.json"
    saved.write_text('{"quickest": "mmap"}')
    assert chosen_writer(disk) == "mmap"
    assert chosen_writer(replace(disk, writer="buffered")) == "buffered"
    saved.write_text('{"quickest": "rm"}')
    assert chosen_writer(disk) == "direct"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.start()
    yield made
    made.close()


def test_whole_capture_is_recorded_and_streamed_at_once(running: Bench) -> None:
    patient = running.config_path.read_text().replace("[disk]", "policy = 'wait'\n[disk]\npolicy = 'wait'")
    running.config_path.write_text(patient)  # however slow this computer's disk is
    assert running.ask("reload")["changed"] == ["tcp.policy", "disk.policy"]
    with running.connect() as reader:
        running.ask_until(lambda seen: seen["clients"] == 1)
        size = 100 * 4096 + 1000
        made = running.ask("record", name="both", start=True, bytes=size, rate=0)
        assert made["recording"] == "both"
        received = b""
        while len(received) < size + 102 * 48:
            received += reader.recv(1 << 20)
    status = running.ask_until(lambda seen: not seen["disk"]["recording"])
    last = status["disk"]["last"]
    assert (last["written"], last["files"], last["error"], last["dropped_bytes"]) == (size, 1, "", 0)
    folder = Path(status["disk"]["folder"])
    payload = b"".join(received[at + 48 : at + 48 + 4096] for at in range(0, len(received) - 48, 4096 + 48))
    assert data_of(folder, "both") == payload[:size]


def test_what_passed_a_recording_by_at_its_end_is_in_its_metadata(
    running: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source has a rate, so the reader goes on while the card hangs: the last blocks are lost to the recording."""
    card, write = threading.Event(), writers.Buffered.write

    def hang(writer: writers.Buffered, data: memoryview) -> None:
        card.wait(20)
        write(writer, data)

    monkeypatch.setattr(writers.Buffered, "write", hang)
    size = 100 * 4096
    with Receiver("127.0.0.1", running.port, "counter", 20) as reader:
        running.ask_until(lambda seen: seen["clients"] == 1)
        running.ask("record", name="tail", start=True, bytes=size, rate=4096)
        reader.run()
        card.set()
    status = running.ask_until(lambda seen: not seen["disk"]["recording"])
    last, folder = status["disk"]["last"], Path(status["disk"]["folder"])
    assert last["dropped_bytes"] == size - last["written"] > 0
    found = sigmf.sigmffile.fromfile(str(folder / "tail.sigmf-meta"))
    found.validate()
    notes = found.get_annotations()
    assert sum(note["cyclone_capture:lost_bytes"] for note in notes) == last["dropped_bytes"]
    behind = notes[-1]
    assert (behind["core:sample_start"], behind["core:sample_count"]) == (last["written"] // 4, 0)
    assert "behind the last sample" in behind["core:comment"]


def test_recording_of_a_running_capture_begins_with_the_next_block_and_can_be_stopped(running: Bench) -> None:
    running.ask("start")
    running.ask_until(lambda seen: seen["blocks_taken"] > 10)
    running.ask("record", name="late")
    running.ask_until(lambda seen: any(sink.get("written", 0) > 0 for sink in seen["sinks"]))
    with pytest.raises(RefusedError, match="late is not finished"):
        running.ask("record", name="again")
    running.ask("record-stop")
    status = running.ask_until(lambda seen: not seen["disk"]["recording"])
    assert status["state"] == "running"
    assert meta_of(Path(status["disk"]["folder"]), "late")["captures"][0]["cyclone_capture:sequence"] > 0
    with pytest.raises(RefusedError, match="nothing is being recorded"):
        running.ask("record-stop")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"name": "../x"}, "name: '../x'"),
        ({"name": "a/b"}, "name: 'a/b'"),
        ({"name": 5}, "name: 5"),
        ({"start": 1}, "start: 1"),
        ({"rate": 5}, "belong to a capture that begins"),
        ({"start": True, "bytes": 5}, "bytes: 5"),
    ],
)
def test_bad_recording_is_refused(running: Bench, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        running.ask("record", **keys)
    assert said in str(caught.value)
    assert running.ask("status")["state"] == "idle"


def test_folder_that_cannot_be_written_is_refused_before_anything_starts(running: Bench) -> None:
    folder = Path(running.ask("status")["disk"]["folder"])
    folder.parent.joinpath(folder.name).write_text("a file is in the way")
    with pytest.raises(RefusedError, match="valid: a folder that the service may write"):
        running.ask("record", start=True)
    assert running.ring.started == []


def test_disk_error_ends_the_recording_and_the_capture_goes_on(running: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(writers.Buffered, "write", fail)
    running.ask("record", name="bad", start=True)
    status = running.ask_until(lambda seen: not seen["disk"]["recording"])
    assert "Input/output error" in status["disk"]["last"]["error"]
    taken = status["blocks_taken"]
    running.ask_until(lambda seen: seen["blocks_taken"] > taken)
    assert running.failure is None


def test_service_that_ends_finishes_the_recording(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.start()
    bench.ask("record", name="take", start=True)
    bench.ask_until(lambda seen: any(sink.get("written", 0) for sink in seen["sinks"]))
    bench.close()
    assert retention.whole(tmp_path / "recordings") == ["take"]
