# SPDX-License-Identifier: MIT
"""The SD card under Linux: errors that it retries and reports, fio's verification, a power cut and the next boot.

Most tests use sectors between two partitions, which nobody else reads or writes.
"""

from __future__ import annotations

import re
import time

import pytest

from firmware import armhf, layout, reach
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target, Unreachable
from tests.emulated.conftest import Linux

pytestmark = pytest.mark.emulated

DEVICE = layout.CARD_DEVICE
SECTOR = layout.SECTOR_BYTES
GAP = layout.BOOT.end  # to the environment
GAP_BYTES = layout.ENVIRONMENT_OFFSETS[0] - GAP
PLACE = GAP // SECTOR  # the sector under test
BLOCK = 4096
CUT_AFTER = 3000  # sectors
FILE_BYTES = 64 * layout.KIB


@pytest.fixture
def board(linux: Linux) -> Linux:
    """The module's board; its card is healthy, and the place under test is all zeros."""
    linux.faults.card.heal()
    assert write(linux.target, 0, 16)
    return linux


def read(target: Target, sector: int, sectors: int = 8) -> bool:
    """Whether sectors behind PLACE can be read, past the cache."""
    where = ["dd", f"if={DEVICE}", "of=/dev/null", f"bs={sectors * SECTOR}", "count=1", "iflag=direct,skip_bytes"]
    return done(target, [*where, f"skip={(PLACE + sector) * SECTOR}"])


def write(target: Target, sector: int, sectors: int = 8, source: str = "/dev/zero") -> bool:
    """Whether sectors behind PLACE can be written, past the cache."""
    what = ["dd", f"if={source}", f"of={DEVICE}", f"bs={sectors * SECTOR}", "count=1", "iflag=fullblock"]
    return done(target, [*what, "oflag=direct,seek_bytes", f"seek={(PLACE + sector) * SECTOR}"])


def done(target: Target, command: list[str]) -> bool:
    result = target.run(command, sudo=True)
    assert result.status == 0 or "Input/output error" in result.stderr, result.stderr
    return result.status == 0


def complaints(target: Target) -> list[str]:
    """What the kernel has said about the card since it runs."""
    return [line for line in target.output(["dmesg"], sudo=True).splitlines() if re.search("error.*mmcblk0", line)]


def on_card(board: Linux) -> bytes:
    with board.emulator.card.open("rb") as stream:
        stream.seek(GAP)
        return stream.read(16 * SECTOR)


def test_sector_that_cannot_be_read_is_an_io_error_and_its_neighbours_are_not(board: Linux) -> None:
    board.faults.card.read_error(PLACE, sectors=1)
    assert not read(board.target, 0)
    assert f"I/O error, dev mmcblk0, sector {PLACE}" in complaints(board.target)[-1]
    assert read(board.target, 8)
    board.faults.card.heal()
    assert read(board.target, 0)


def test_single_read_error_is_retried(board: Linux) -> None:
    before = complaints(board.target)
    board.faults.card.read_error(PLACE, sectors=1, times=1)
    assert read(board.target, 0)
    assert board.faults.card.get("read-error-times") == 0
    assert complaints(board.target) == before


def test_sector_that_cannot_be_written_is_an_io_error(board: Linux) -> None:
    board.faults.card.write_error(PLACE, sectors=1)
    assert not write(board.target, 0, source="/dev/urandom")
    assert on_card(board)[:SECTOR] == bytes(SECTOR)
    assert f"I/O error, dev mmcblk0, sector {PLACE}" in complaints(board.target)[-1]


def test_single_write_error_is_retried(board: Linux) -> None:
    board.faults.card.write_error(PLACE, sectors=1, times=1)
    assert write(board.target, 0, source="/dev/urandom")
    assert board.faults.card.get("write-error-times") == 0
    assert on_card(board)[:SECTOR] != bytes(SECTOR)


def test_slow_card_is_waited_for(board: Linux) -> None:
    before = complaints(board.target)
    board.faults.card.slow(5_000_000)
    started = time.monotonic()
    assert read(board.target, 0, sectors=128)
    assert time.monotonic() - started >= 128 * 0.005
    board.faults.card.heal()
    assert complaints(board.target) == before


def fio(target: Target, *options: str) -> list[str]:
    """Command that runs one fio job with direct I/O and checksums."""
    job = ["--name=card", "--direct=1", "--ioengine=psync", "--verify=crc32c", "--verify_fatal=1", "--randseed=5"]
    return armhf.install(target, "fio").command("fio", *job, *options)


def test_fio_finds_a_flipped_bit(board: Linux) -> None:
    job = [f"--filename={DEVICE}", f"--offset={GAP}", f"--size={GAP_BYTES}", "--rw=write", f"--bs={BLOCK}"]
    board.target.output(fio(board.target, *job, "--do_verify=1"), sudo=True)
    board.faults.card.flip(GAP + GAP_BYTES // 2 + 100, bit=3)
    result = board.target.run(fio(board.target, *job, "--verify_only"), sudo=True)
    assert result.status
    assert "verify failed at file" in result.stderr + result.stdout


def test_fio_verifies_random_writes_to_a_file(board: Linux) -> None:
    job = ["--filename=/data/fio", "--size=24M", "--rw=randwrite", "--bsrange=512-64k", "--blockalign=512"]
    said = board.target.output(fio(board.target, *job, "--do_verify=1"), sudo=True, timeout=300)
    board.target.output(["rm", "/data/fio"], sudo=True)
    assert re.search(r"err= 0", said)
    assert "read:" in said.lower()  # the verification


def test_worn_card_can_be_read_but_not_written(board: Linux) -> None:
    """The last one on this board: ext4 on `data` has met write errors meanwhile, and is read-only from then on."""
    board.faults.card.worn()
    assert not write(board.target, 0, source="/dev/urandom")
    assert read(board.target, 0)
    assert on_card(board) == bytes(16 * SECTOR)
    board.faults.card.heal()
    assert write(board.target, 0, source="/dev/urandom")


def test_files_that_were_synced_survive_a_power_cut(linux_of_its_own: Linux) -> None:
    board, synced = linux_of_its_own, list[str]()
    script = (
        "cd /data && n=0 && while n=$((n+1)); do "
        f"yes $n | head -c {FILE_BYTES} | dd of=cut.$n conv=fsync status=none && sync -f /data && echo $n; done"
    )
    board.faults.card.cut_power_after(CUT_AFTER, torn=True)
    with pytest.raises(Unreachable):
        board.target.run(["sh", "-c", script], sudo=True, timeout=300, say=synced.append)
    assert board.emulator.wait_off(10) == 0
    assert len(synced) > CUT_AFTER * SECTOR / FILE_BYTES / 4
    board.emulator.start()
    target = Target(reach.LOOPBACK, board.emulator.ssh_port, known=KnownHosts(board.emulator.folder / "known_hosts"))
    reach.wait_until_up(reach.Reach(target, (reach.LOOPBACK, board.emulator.stream_port), board.emulator.console_log))
    with target:
        check = f'for n; do yes $n | head -c {FILE_BYTES} | cmp - /data/cut.$n || exit 1; done; echo "all $#"'
        found = target.output(["sh", "-c", check, "sh", *(line.strip() for line in synced)], sudo=True)
        assert found.strip() == f"all {len(synced)}"
        target.output(["touch", "/data/writable"], sudo=True)
