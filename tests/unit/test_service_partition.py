# SPDX-License-Identifier: MIT
"""Recordings in a partition without a file system: never over something else, found again, cut, full, beyond 256 GB."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cyclone_capture
import pytest
import sigmf
from captured import config, ctl, facts, partition_recorder, writers
from captured.beside import Syncer
from captured.config import Disk
from captured.errors import ConfigError, RefusedError
from captured.partition import DATA_AT, ENTRIES, PAGE, WHOLE, Entry, Partition, entry_at, padded
from captured.partition_recorder import PartitionRecorder, open_partition
from captured.record import FLAG_END, FLAG_GAP, Header
from captured.recorder import Source
from cyclone_capture import cli

from tests.unit.test_service import BOARD, Bench

pytestmark = pytest.mark.unit
MIB = 1 << 20
HALF = 512 << 10
SOURCE = Source("de0-nano-soc", "counter", 4_000_000, None)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A sparse file in the place of a partition."""
    path = tmp_path / "medium"
    with path.open("wb") as stream:
        stream.truncate(64 * MIB)
    return Disk(folder=tmp_path / "recordings", partition=str(path), sync_seconds=3600)


def recorder(disk: Disk, name: str = "take") -> PartitionRecorder:
    return PartitionRecorder(disk, open_partition(disk), name, SOURCE)


def header(sequence: int = 0, flags: int = 0, lost: int = 0, size: int = MIB) -> Header:
    return Header(flags, size, sequence, sequence * 1000, lost, 1)


def test_partition_that_holds_something_else_is_refused_unless_named(disk: Disk) -> None:
    with Path(disk.partition).open("r+b") as stream:  # as ext4 has its magic there
        stream.seek(1080)
        stream.write(b"\x53\xef")
    before = Path(disk.partition).read_bytes()
    with pytest.raises(RefusedError, match=r"holds something else .*erase_partition = "):
        open_partition(disk)
    with pytest.raises(RefusedError, match="holds something else"):
        open_partition(replace(disk, erase_partition="/dev/other"))
    assert Path(disk.partition).read_bytes() == before
    open_partition(replace(disk, erase_partition=disk.partition)).close()
    open_partition(disk).close()


def test_missing_or_tiny_partition_is_refused(disk: Disk) -> None:
    with pytest.raises(RefusedError, match="No such file"):
        open_partition(replace(disk, partition=disk.partition + "-not-there"))
    os.truncate(disk.partition, DATA_AT)
    with pytest.raises(RefusedError, match=f"valid: at least {2 * DATA_AT}"):
        open_partition(disk)


def test_partition_that_is_in_use_is_refused(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> int:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(RefusedError, match=r"it is in use .valid: a partition that is not mounted"):
        open_partition(disk)


@pytest.mark.parametrize("value", ["'/data/x'", "'mmcblk0p5'", "5"])
def test_configuration_names_a_block_device(value: str) -> None:
    with pytest.raises(ConfigError, match=r"disk\.partition: .*a block device"):
        config.parse(f"[disk]\npartition = {value}\n", BOARD)


def test_recordings_are_found_again_and_read_back_on_both_sides(
    ring: memoryview, disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("take", "take"):
        made = recorder(disk, name)
        made.write(header(3), ring[:MIB])
        made.write(header(5, FLAG_GAP, MIB), ring[MIB : 2 * MIB])
        made.write(header(6, size=1000), ring[2 * MIB : 2 * MIB + 1000])
        made.finish()
    assert made.progress.done == ["take-1"], "never over another"
    data = bytes(ring[: 2 * MIB + 1000])
    folder = tmp_path / "out"
    assert ctl.main(["partition", "--device", disk.partition, "--export", "take-1", "--folder", str(folder)]) == 0
    assert (folder / "take-1.sigmf-data").read_bytes() == data
    assert cli.main(["partition", disk.partition, "--name", "take", "--output", str(tmp_path / "host")]) == 0
    taken = cyclone_capture.open_recording(tmp_path / "host")
    assert taken.samples.tobytes() == data
    assert taken.gaps == ((MIB // 4, MIB // 4, MIB),)
    for path in (folder / "take-1.sigmf-meta", tmp_path / "host.sigmf-meta"):
        found = sigmf.sigmffile.fromfile(str(path))
        found.validate()
        assert [note["core:label"] for note in found.get_annotations()] == ["gap"]
    with Partition(Path(disk.partition)) as medium:
        entry = medium.load()[1]
        assert (folder / "take-1.sha256").read_text().split()[0] == entry.sha256
    assert cli.main(["partition", disk.partition]) == 0
    assert f"{len(data)} bytes in 3 blocks, whole\n" in capsys.readouterr().out
    assert cli.main(["partition", disk.partition, "--output", str(tmp_path / "x")]) == 2
    assert "valid: with --name" in capsys.readouterr().err
    assert cli.main(["partition", disk.partition, "--name", "else", "--output", str(tmp_path / "x")]) == 2
    assert "valid: take, take-1" in capsys.readouterr().err
    assert cli.main(["partition", str(folder / "take-1.sigmf-data")]) == 2
    assert capsys.readouterr().err.count("valid:") == 1


def test_what_was_lost_behind_the_last_block_is_in_the_partition_and_comes_out_with_it(
    ring: memoryview, disk: Disk, tmp_path: Path
) -> None:
    made = recorder(disk)
    made.write(header(), ring[:MIB])
    made.note_tail(Header(FLAG_END | FLAG_GAP, 0, 4, 9, 5 * MIB, 1), 3 * MIB)
    made.finish()
    assert ctl.main(["partition", "--device", disk.partition, "--export", "take", "--folder", str(tmp_path)]) == 0
    assert cli.main(["partition", disk.partition, "--name", "take", "--output", str(tmp_path / "host")]) == 0
    for name in ("take", "host"):
        taken = cyclone_capture.open_recording(tmp_path / name)
        assert taken.samples.tobytes() == bytes(ring[:MIB])
        assert taken.gaps == ((MIB // 4, 0, 3 * MIB),)


def test_export_into_a_full_folder_names_it_and_keeps_what_fits(
    ring: memoryview, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, write = recorder(disk), writers.Buffered.write
    for number in range(3):
        made.write(header(number), ring[:MIB])
    made.finish()

    def full(writer: writers.Buffered, data: memoryview) -> None:
        if writer.written >= 2 * MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(writer, data)

    monkeypatch.setattr(writers.Buffered, "write", full)
    folder = tmp_path / "out"
    assert ctl.main(["partition", "--device", disk.partition, "--export", "take", "--folder", str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"take into {folder}: No space left on device; {2 * MIB} bytes are whole" in said
    assert len(cyclone_capture.open_recording(folder / "take").samples) == 2 * MIB // 4
    assert not list(folder.glob("*.part")) + list(folder.glob("*.journal"))


def test_cut_recording_ends_at_its_last_sync_and_says_so(ring: memoryview, disk: Disk) -> None:
    made = recorder(replace(disk, sync_bytes=2 * MIB))
    for number in range(2):
        made.write(header(number), ring[:MIB])
        made._syncer.wait()
    made._syncer = Syncer(disk)  # the next sync is a long way off
    made.write(header(2), ring[:MIB])
    os.close(made._fd)  # the process is gone here
    made._medium.close()
    said = partition_recorder.repair(Path(disk.partition))
    assert said == [f"take: cut off while it was written; cut to the last synced window, {2 * MIB} bytes"]
    with Partition(Path(disk.partition)) as medium:
        (entry,) = medium.load()
        assert (entry.state, entry.bytes, entry.records) == (WHOLE, 2 * MIB, 2)
        assert b"".join(payload for _head, payload in medium.records(entry)) == bytes(ring[:MIB]) * 2
    assert partition_recorder.repair(Path(disk.partition)) == [], "only once"


@pytest.mark.parametrize("at", [0, 7, 30, 200])
def test_torn_entry_leaves_the_one_before(ring: memoryview, disk: Disk, at: int) -> None:
    made = recorder(replace(disk, sync_bytes=MIB))
    for number in range(2):
        made.write(header(number), ring[:MIB])
        made._syncer.wait()
    newest = made._entry.generation
    with Path(disk.partition).open("r+b") as stream:
        stream.seek(entry_at(0, newest % 2) + at)
        stream.write(b"\xff")
    with Partition(Path(disk.partition)) as medium:
        (entry,) = medium.load()
        assert (entry.generation, entry.bytes) == (newest - 1, MIB)


def test_full_partition_ends_the_recording_and_keeps_what_was_written(ring: memoryview, disk: Disk) -> None:
    os.truncate(disk.partition, DATA_AT + 2 * (MIB + PAGE) + PAGE)
    made = recorder(disk)
    made.write(header(0), ring[:MIB])
    made.write(header(1), ring[:MIB])
    with pytest.raises(OSError, match="the partition is full") as caught:
        made.write(header(2), ring[:MIB])
    made.save(caught.value)
    assert f"{2 * MIB} bytes are whole" in made.progress.error
    with Partition(Path(disk.partition)) as medium:
        (entry,) = medium.load()
        assert (entry.state, entry.bytes) == (WHOLE, 2 * MIB)
        assert "the partition is full" in entry.note


def test_index_that_is_full_is_refused(disk: Disk) -> None:
    with open_partition(disk) as medium:
        for place in range(ENTRIES):
            medium.note(Entry(f"take-{place}", DATA_AT, DATA_AT, state=WHOLE, place=place))
    with pytest.raises(RefusedError, match=f"holds {ENTRIES} recordings"):
        open_partition(disk)


def test_256_gb_of_512_kib_blocks(ring: memoryview, disk: Disk, tmp_path: Path) -> None:
    """A sparse medium of 512 GB; the recording's place is moved to where 488281 blocks end, the rest is written."""
    os.truncate(disk.partition, 512 * 10**9 // PAGE * PAGE)
    made = recorder(disk)
    before = 256 * 10**9 // HALF
    assert before * HALF > 1 << 37
    made._at = made._entry.at + before * (HALF + PAGE)
    made._entry.records, made._entry.bytes = before, before * HALF
    for number in range(before, before + 3):
        made.write(header(number, size=HALF), ring[number % 4 * HALF : (number % 4 + 1) * HALF])
    made.finish()
    second = recorder(disk, "behind")
    second.write(header(size=HALF), ring[:HALF])
    second.finish()
    assert Path(disk.partition).stat().st_blocks * 512 < 16 * MIB, "sparse"
    with Partition(Path(disk.partition)) as medium:
        first, behind = medium.load()
        assert first.bytes == (before + 3) * HALF
        assert behind.at == first.end > 256 * 10**9
        tail = replace(first, at=first.at + before * (HALF + PAGE), records=3)
        wanted = [bytes(ring[number % 4 * HALF : (number % 4 + 1) * HALF]) for number in range(before, before + 3)]
        assert [payload for _head, payload in medium.records(tail)] == wanted
    assert cli.main(["partition", disk.partition, "--name", "behind", "--output", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b.sigmf-data").read_bytes() == bytes(ring[:HALF])


@pytest.fixture
def running(tmp_path: Path, disk: Disk) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.service.disk._config = replace(disk, folder=tmp_path / "recordings", policy="wait")
    made.start()
    yield made
    made.close()


def test_service_records_into_the_partition(running: Bench, disk: Disk) -> None:
    size = 20 * 4096 + 1000
    running.ask("record", name="raw", start=True, bytes=size)
    status = running.ask_until(lambda seen: not seen["disk"]["recording"])
    assert status["disk"]["partition"] == disk.partition
    assert (status["disk"]["last"]["written"], status["disk"]["last"]["error"]) == (size, "")
    with Partition(Path(disk.partition)) as medium:
        (entry,) = medium.load()
        assert (entry.bytes, entry.at + 21 * PAGE + 20 * 4096 + padded(1000)) == (size, entry.end)
        words = b"".join(payload for _head, payload in medium.records(entry))
    assert words[:4096] == b"".join(number.to_bytes(4, "little") for number in range(1024))
    assert json.dumps(entry.what)


def test_service_refuses_a_partition_that_it_must_not_touch_before_anything_starts(running: Bench, disk: Disk) -> None:
    with Path(disk.partition).open("r+b") as stream:
        stream.write(b"precious")
    with pytest.raises(RefusedError, match="holds something else"):
        running.ask("record", start=True)
    assert running.ring.started == []


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file that `capturectl` reads."""
    path = tmp_path / "captured.toml"
    monkeypatch.setattr(config, "CONFIG", path)
    monkeypatch.setattr(facts, "load", lambda: BOARD)
    return path


def test_grant_is_for_block_devices_only(named: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["grant-partition"]) == 0
    assert ctl.main(["partition"]) == 2
    assert "names no disk.partition (valid: --device)" in capsys.readouterr().err
    named.write_text("[disk]\npartition = '/dev/null'\n")
    assert ctl.main(["grant-partition"]) == 2
    assert "disk.partition: /dev/null (valid: a block device)" in capsys.readouterr().err
    named.write_text("[disk]\npartition = '/dev/not-there'\n")
    assert ctl.main(["grant-partition"]) == 1


def test_grant_gives_group_and_unit_that_one_device(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named.write_text("[disk]\npartition = '/dev/null'\n")
    ran: list[list[str]] = []
    done: list[object] = []
    monkeypatch.setattr("stat.S_ISBLK", lambda _mode: True)
    monkeypatch.setattr("shutil.chown", lambda path, group: done.append((path, group)))
    monkeypatch.setattr(Path, "chmod", lambda path, mode: done.append((path, mode)))
    monkeypatch.setattr("subprocess.run", lambda words, **_options: ran.append(words))
    assert ctl.main(["grant-partition"]) == 0
    assert done == [(Path("/dev/null"), "capture"), (Path("/dev/null"), 0o660)]
    assert [words[1:] for words in ran] == [
        ["set-property", "--runtime", "captured.service", "DeviceAllow=/dev/null rw"]
    ]
