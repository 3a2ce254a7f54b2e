# SPDX-License-Identifier: MIT
"""What the capture service does when something beside it fails: out of memory, a full disk, a stepped clock, readers.

Each time: the service says it, the other sinks get everything, and what was lost is counted. The faults of the card and
of the cable, which cost more time, are in test_service_outages.py.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
import sigmf

from firmware import layout, receiver
from tests.emulated.conftest import Linux
from tests.emulated.service_board import (
    RECORDINGS,
    capturing,
    configure,
    control,
    fetch,
    journal,
    shell,
    wait,
    wait_for,
)

pytestmark = pytest.mark.emulated

MIB = 1 << 20


def test_kill_by_the_out_of_memory_killer_is_survived_and_the_recording_repaired(linux: Linux) -> None:
    wait_for(linux, '"open": true')
    control(linux, "record", "--start", "--name=oom", "--rate=2MiB")
    wait(linux, f"grep -q bytes {RECORDINGS}/oom.journal")
    assert int(shell(linux, "cat /proc/$(systemctl show -P MainPID captured)/oom_score_adj")) == -500
    kill = "echo 1000 > /proc/$(systemctl show -P MainPID captured)/oom_score_adj; "
    shell(linux, kill + "echo 1 > /proc/sys/kernel/sysrq; echo f > /proc/sysrq-trigger")
    wait_for(linux, '"repaired": \\["oom: cut off while it was written')
    assert "Failed with result 'oom-kill'" in journal(linux)
    assert "recording oom: cut off" in journal(linux)
    shell(linux, f"cd {RECORDINGS} && sha256sum -c oom.sha256")


@pytest.mark.slow
def test_service_that_hangs_is_ended_by_its_watchdog_and_the_recording_repaired(linux: Linux) -> None:
    wait_for(linux, '"open": true')
    control(linux, "record", "--start", "--name=hung", "--rate=2MiB")
    wait(linux, f"grep -q bytes {RECORDINGS}/hung.journal")
    hung = shell(linux, "systemctl show -P MainPID captured; systemctl kill --signal=STOP captured").strip()
    wait(linux, f'now=$(systemctl show -P MainPID captured) && test "$now" != 0 && test "$now" != {hung}')
    wait_for(linux, '"repaired": \\["hung: cut off while it was written')
    assert "Watchdog timeout" in journal(linux)
    shell(linux, f"cd {RECORDINGS} && sha256sum -c hung.sha256")


@pytest.mark.slow
def test_full_disk_ends_the_recording_not_the_stream_and_its_files_are_whole(linux: Linux, tmp_path: Path) -> None:
    """Really full: nothing is kept free for others, and the recording needs a new file when there is no room."""
    configure(linux, "[disk]\nmin_free_bytes = 0\nrotate_bytes = 8388608\n")
    shell(linux, "fallocate -l $(($(df --output=avail -B1 /data | tail -1) - 14680064)) /data/filler")
    size = 28 * MIB
    seen = receiver.receive(*linux.stream, connected=capturing(linux, "record", "--name=full", size=size))
    assert seen.whole, str(seen)
    assert seen.bytes == size
    wait_for(linux, '"recording": false')
    last = control(linux, "status")["disk"]["last"]
    whole = sum(int(part) for part in shell(linux, f"stat -c %s {RECORDINGS}/full*.sigmf-data").split())
    assert last["error"] == f"No space left on device; {whole} bytes are whole, what came after them is not"
    assert last["synced"] == whole >= 8 * MIB
    assert f"recording full: {last['error']}" in journal(linux)
    shell(linux, f'rm /data/filler; cd {RECORDINGS} && sha256sum -c full*.sha256 && test -z "$(ls | grep part$)"')
    for suffix in ("data", "meta"):
        (tmp_path / f"full.sigmf-{suffix}").write_bytes(fetch(linux, f"full.sigmf-{suffix}"))
    sigmf.sigmffile.fromfile(str(tmp_path / "full.sigmf-meta")).validate()
    configure(linux, "")


def test_clock_that_is_stepped_by_hours_changes_neither_stream_nor_recording(linux: Linux, tmp_path: Path) -> None:
    size = 16 * MIB
    start = capturing(linux, "record", "--name=clock", size=size)

    def step() -> None:
        start()
        wait(linux, f"test -s {RECORDINGS}/clock.journal")
        shell(linux, "date -s '-5 hours' && date -s '+9 hours'")

    before = float(control(linux, "status")["uptime_seconds"])
    seen = receiver.receive(*linux.stream, connected=step)
    shell(linux, "date -s '-4 hours'")
    assert seen.whole, str(seen)
    wait_for(linux, '"recording": false')
    status = control(linux, "status")
    assert 0 < status["uptime_seconds"] - before < 3600
    assert (status["disk"]["last"]["synced"], status["disk"]["last"]["error"], status["gaps"]) == (size, "", 0)
    meta = json.loads(fetch(linux, "clock.sigmf-meta"))
    assert meta["annotations"] == []
    assert control(linux, "status")["disk"]["last"]["files"] == 1, "rotation goes by another clock"


def test_reader_that_stalls_is_dropped_and_the_other_gets_everything(linux: Linux) -> None:
    """It holds its share, no more, and is dropped after 3 s without an acknowledgement; all its blocks come back."""
    configure(linux, "[tcp]\nstall_seconds = 3\nbudget = 6\n")
    address = linux.stream
    before = control(linux, "status")["clients_dropped"]
    seen: list[receiver.Reception] = []
    with socket.socket() as stalled, receiver.Receiver(*address, "counter") as reader:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(address)
        wait_for(linux, '"clients": 2,')
        control(linux, "start")
        thread = threading.Thread(target=lambda: seen.append(reader.run()))
        thread.start()
        wait_for(linux, f'"clients_dropped": {before + 1},')
        wait_for(linux, '"clients": 1,')
        control(linux, "stop")
        thread.join()
    assert seen[0].whole, str(seen[0])
    assert seen[0].bytes > 6 * MIB, "it went on"
    assert "nothing acknowledged for 3 s" in journal(linux)
    wait_for(linux, '"state": "idle"')
    assert control(linux, "status")["ring"]["blocks_user"] == 0, "every block came back"
    configure(linux, "")


def test_reader_that_dies_in_the_middle_costs_the_other_nothing(linux: Linux) -> None:
    size = 24 * MIB
    address = linux.stream
    dying = socket.create_connection(address)
    start = capturing(linux, "start", size=size, clients=2)

    def begin() -> None:
        start()
        assert dying.recv(MIB)
        dying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
        dying.close()

    seen = receiver.receive(*address, connected=begin)
    assert seen.whole, str(seen)
    assert seen.bytes == size
    wait_for(linux, '"state": "idle"')
    assert control(linux, "status")["ring"]["blocks_user"] == 0


MAKE_BIG = """
import sys
sys.path.insert(0, "/usr/lib/captured")
from pathlib import Path
from captured.partition import DATA_AT, PAGE, WHOLE, Entry, Partition
blocks = 256 * 10**9 // (512 << 10)
with Partition(Path("/dev/loop0"), writable=True) as medium:
    place = len(medium.load())
    end = DATA_AT + blocks * ((512 << 10) + PAGE)
    medium.note(Entry("big", DATA_AT, end, {}, blocks, blocks * (512 << 10), WHOLE, place=place))
"""


def partition(linux: Linux, device: str) -> None:
    """Take `device` into the configuration; root gives it to the unit when the service starts."""
    configure(linux, f"[disk]\npartition = '{device}'\n")
    linux.target.output(["systemctl", "restart", "captured"], sudo=True, timeout=180)
    wait_for(linux, '"open": true')


@pytest.mark.slow
def test_partition_without_a_file_system_takes_recordings_also_behind_256_gb(linux: Linux) -> None:
    shell(linux, "truncate -s 300G /data/medium && losetup /dev/loop0 /data/medium")
    partition(linux, "/dev/loop0")
    size = 6 * MIB + 1000
    for name in ("first", "behind"):
        control(linux, "record", "--start", f"--name={name}", f"--bytes={size}")
        wait_for(linux, '"recording": false')
        last = control(linux, "status")["disk"]["last"]
        assert (last["written"], last["synced"], last["error"], last["writer"]) == (size, size, "", "direct")
        export = (
            f"capturectl partition --export {name} --folder /run/taken && cd /run/taken && sha256sum -c {name}.sha256"
        )
        assert f"{name}.sigmf-data: OK" in shell(linux, export)
        linux.target.output(["python3", "-c", MAKE_BIG], sudo=True)
    found = {entry["name"]: entry for entry in control(linux, "partition")["recordings"]}
    assert found["behind"]["at"] > 256 * 10**9
    assert found["behind"]["sha256"] == found["first"]["sha256"]


@pytest.mark.slow
def test_partition_that_is_mounted_is_refused(linux: Linux) -> None:
    partition(linux, layout.DATA.device)
    done = linux.target.run(["capturectl", "record", "--start"], sudo=True)
    assert done.status == 2
    assert f"{layout.DATA.device}: it is in use (valid: a partition that is not mounted" in done.stderr
    assert control(linux, "status")["state"] == "idle"
    configure(linux, "")
