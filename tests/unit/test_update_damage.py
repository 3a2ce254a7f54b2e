# SPDX-License-Identifier: MIT
"""A slot whose blocks are not what was installed: seen in the kernel's log, seen by reading all of it, and given up."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import paths
from tests.unit.slotted_board import PowerCut, SlottedBoard

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import damage
from field_update.commands import Commands
from field_update.damage import BLOCK_BYTES, CHUNK_BYTES, Damage
from field_update.state import INSTALLED, Event, State, Store, Trial
from field_update.system import Failure

pytestmark = pytest.mark.unit
BAD = "the slot is damaged: 1 of the blocks that were read, data block 7 the first"


@pytest.fixture
def board() -> SlottedBoard:
    return SlottedBoard()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def commands(board: SlottedBoard, said: list[str], tmp_path: Path) -> Commands:
    return Commands(board, tmp_path / "data", tmp_path / "run", said.append)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


@pytest.mark.parametrize("content", [None, b"", b"6,1,2,-;Linux version 6.12\n", b"\xff\xfe"])
def test_log_without_damage(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "kmsg").write_bytes(content)
    assert damage.found(tmp_path / "kmsg") == ""


def test_damage_in_the_log_is_counted_once_a_block(tmp_path: Path) -> None:
    lines = [f"3,9,{n},-;device-mapper: verity: 179:2: data block {n} is corrupted" for n in (12, 7, 12)]
    lines.append("3,9,1,-;device-mapper: verity: 179:2: metadata block 900 is corrupted")
    (tmp_path / "kmsg").write_text("\n".join(lines) + "\n")
    assert damage.found(tmp_path / "kmsg") == (
        "the slot is damaged: 3 of the blocks that were read, data block 7 the first"
    )


def test_records_that_were_overwritten_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = b"3,9,1,-;device-mapper: verity: 179:2: data block 7 is corrupted\n"
    answers: Iterator[bytes | OSError] = iter([BrokenPipeError(), record, BlockingIOError()])

    def read(_descriptor: int, _size: int) -> bytes:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    (tmp_path / "kmsg").touch()
    monkeypatch.setattr(os, "read", read)
    assert damage.found(tmp_path / "kmsg") == BAD


@pytest.mark.parametrize(("content", "checked"), [(None, False), ("rauc-verity-bundle\n", False), ("root\n", True)])
def test_only_a_root_of_that_name_is_checked(tmp_path: Path, content: str | None, checked: bool) -> None:
    if content is not None:
        (tmp_path / "name").write_text(content)
    assert damage.is_checked(tmp_path / "name") is checked


def test_whole_slot_is_read(tmp_path: Path) -> None:
    (tmp_path / "dm").write_bytes(bytes(2 * CHUNK_BYTES + BLOCK_BYTES))
    rests: list[float] = []
    assert damage.read_slot(gently=True, device=tmp_path / "dm", rest=rests.append) == (
        2 * CHUNK_BYTES + BLOCK_BYTES,
        None,
    )
    assert len(rests) == 3
    assert damage.read_slot(device=tmp_path / "dm", rest=rests.append)[1] is None
    assert len(rests) == 3, "only a gentle reading rests"


def test_reading_goes_on_behind_damaged_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, bad = 3 * CHUNK_BYTES, (300, 301, 700)
    (tmp_path / "dm").write_bytes(bytes(size))

    def pread(_descriptor: int, count: int, at: int) -> bytes:
        """As the page cache: up to the first block that cannot be read, or an error when it is this one."""
        ahead = [block * BLOCK_BYTES - at for block in bad if block * BLOCK_BYTES >= at]
        if ahead and ahead[0] == 0:
            raise OSError(errno.EIO, "I/O error")
        return bytes(min([count, size - at, *ahead]))

    monkeypatch.setattr(os, "pread", pread)
    assert damage.read_slot(device=tmp_path / "dm") == (size, Damage(3, 300))
    assert str(Damage(3, 300)) == "3 damaged blocks, the first at 0x12c000 of the slot"


def test_another_error_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pread(_descriptor: int, _count: int, _at: int) -> bytes:
        raise OSError(errno.ENOMEM, "no memory")

    (tmp_path / "dm").write_bytes(bytes(BLOCK_BYTES))
    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(OSError, match="no memory"):
        damage.read_slot(device=tmp_path / "dm")


def test_committed_slot_that_is_damaged_gives_way_to_the_other(
    board: SlottedBoard, commands: Commands, store: Store
) -> None:
    board.damaged = BAD
    assert commands.boot() is None
    assert board.done == ["active other", "reboot"], "its attempts are not given back"
    assert store.load()[0] == State(None, Event("damaged", "A", "1.0", BAD))
    board.boots()
    board.damaged = ""
    assert commands.boot() is None
    assert (board.slot, board.done) == ("B", ["good booted"])


def test_with_no_other_system_it_is_kept(
    board: SlottedBoard, commands: Commands, store: Store, said: list[str]
) -> None:
    board.damaged, board.other_version = BAD, ""
    assert commands.boot() is None
    assert board.done == ["good booted"]
    assert store.load()[0] == State()
    assert f"{BAD}; kept: slot B holds no system" in said


def test_both_slots_damaged_do_not_send_the_board_to_and_fro(
    board: SlottedBoard, commands: Commands, said: list[str]
) -> None:
    board.damaged = BAD
    commands.boot()
    board.boots()
    commands.boot()
    assert (board.slot, board.done) == ("B", ["good booted"])
    assert f"{BAD}; kept: slot A has been left for the same reason (valid: install an upgrade)" in said


@pytest.mark.parametrize("cut", [0, 1])
def test_power_cut_while_it_gives_way(board: SlottedBoard, commands: Commands, cut: int) -> None:
    board.damaged, board.cut = BAD, cut
    with pytest.raises(PowerCut):
        commands.boot()
    for _ in range(3):
        board.boots()
        board.damaged = BAD if board.slot == "A" else ""
        commands.boot()
    assert (board.slot, board.done) == ("B", ["good booted"])


def test_slot_on_trial_is_read_whole_before_it_may_pass(board: SlottedBoard, commands: Commands, store: Store) -> None:
    store.save(State(Trial("B", "2.0", 600, INSTALLED)))
    board.order, board.slot, board.unread_damage = ["B", "A"], "B", BAD
    assert commands.boot() is None
    assert board.done == ["active other", "bad booted", "reboot"]
    trial = store.load()[0].trial
    assert trial is not None
    assert trial.failed == f"health: {BAD}"


def test_verify_says_what_it_found(board: SlottedBoard, commands: Commands, said: list[str]) -> None:
    assert commands.verify(gently=True) == ""
    board.unread_damage = BAD
    assert commands.verify(gently=False) == BAD
    assert said == ["read gently", BAD]
    assert commands.status()["damage"] == BAD


def test_slot_that_cannot_be_read_is_an_error_and_passes_no_trial(
    board: SlottedBoard, commands: Commands, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_gently: bool) -> tuple[str, str]:
        raise Failure("/dev/dm-0: no memory")

    monkeypatch.setattr(board, "read_slot", broken)
    with pytest.raises(Failure, match="no memory"):
        commands.verify(gently=False)
    store.save(State(Trial("B", "2.0", 600, INSTALLED)))
    board.order, board.slot = ["B", "A"], "B"
    commands.boot()
    trial = store.load()[0].trial
    assert trial is not None
    assert trial.failed == "health: /dev/dm-0: no memory"
