# SPDX-License-Identifier: MIT
"""A slot whose blocks are not what was installed: seen in the kernel's log, seen by reading all of it, and given up."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import layout, paths, verity
from tests.unit.slotted_board import PowerCut, SlottedBoard

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import damage
from field_update.commands import Commands
from field_update.damage import BLOCK_BYTES, CHUNK_BYTES, Damage
from field_update.state import INSTALLED, Event, State, Store, Trial
from field_update.system import Check, Failure

pytestmark = pytest.mark.unit
BAD = "the slot is damaged: 1 of the blocks that were read, block 7 the first"


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


def system_files(folder: Path, name: str = "root") -> Path:
    """/sys of a board whose root is on mmcblk0p2, through dm-verity; `name` is that of the mapping."""
    partition = folder / "devices/card/mmcblk0/mmcblk0p2"
    for place in (folder / "block/dm-0/dm", folder / "block/dm-0/slaves/mmcblk0p2", folder / "class/block", partition):
        place.mkdir(parents=True)
    (folder / "class/block/mmcblk0p2").symlink_to(partition)
    (folder / "block/dm-0/dm/name").write_text(f"{name}\n")
    for fact, value in (("dev", "179:2"), ("start", "32768"), ("size", "1048576")):
        (partition / fact).write_text(f"{value}\n")
    return folder


def log(folder: Path, *lines: str) -> Path:
    (folder / "kmsg").write_text("".join(f"3,9,{number},-;{line}\n" for number, line in enumerate(lines)))
    return folder / "kmsg"


CORRUPTED = "device-mapper: verity: 179:2: data block 7 is corrupted"


def test_board_and_build_mean_the_same_mark_and_blocks() -> None:
    """What runs on the board is not rendered, so it says them once more."""
    assert str(damage.MARK) == layout.VERITY_MARK
    assert (damage.BLOCK_BYTES, damage.SECTORS * layout.SECTOR_BYTES) == (verity.BLOCK_BYTES, verity.BLOCK_BYTES)


@pytest.mark.parametrize("content", [None, b"", b"6,1,2,-;Linux version 6.12\n", b"\xff\xfe"])
def test_log_without_damage(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "kmsg").write_bytes(content)
    assert damage.found(tmp_path / "kmsg", system_files(tmp_path / "sys")) == ""


@pytest.mark.parametrize(
    "line",
    [
        "device-mapper: verity: 43:0: data block 7 is corrupted",  # a bundle that RAUC reads
        "device-mapper: verity: 179:3: data block 7 is corrupted",
        "I/O error, dev mmcblk0, sector 32767 op 0x0:(READ) flags 0x0",  # before the slot
        "I/O error, dev mmcblk0, sector 1081344 op 0x0:(READ) flags 0x0",  # behind it
        "I/O error, dev mmcblk0, sector 32768 op 0x1:(WRITE) flags 0x0",
        "I/O error, dev mmcblk1, sector 32768 op 0x0:(READ) flags 0x0",
    ],
)
def test_damage_of_something_else_is_not_the_slots(tmp_path: Path, line: str) -> None:
    assert damage.found(log(tmp_path, line), system_files(tmp_path / "sys")) == ""


@pytest.mark.parametrize("name", ["rauc-verity-bundle", ""])
def test_of_a_root_without_a_tree_nothing_is_known(tmp_path: Path, name: str) -> None:
    assert damage.found(log(tmp_path, CORRUPTED), system_files(tmp_path / "sys", name)) == ""
    assert damage.found(log(tmp_path, CORRUPTED), tmp_path / "none") == ""


def test_damage_in_the_log_is_counted_once_a_block(tmp_path: Path) -> None:
    lines = [f"device-mapper: verity: 179:2: data block {n} is corrupted" for n in (12, 7, 12)]
    lines.append("device-mapper: verity: 179:2: metadata block 900 is corrupted")
    assert damage.found(log(tmp_path, *lines), system_files(tmp_path / "sys")) == (
        "the slot is damaged: 3 of the blocks that were read, block 7 the first"
    )


def test_what_the_card_cannot_read_is_damage(tmp_path: Path) -> None:
    line = f"I/O error, dev mmcblk0, sector {32768 + 7 * 8 + 3} op 0x0:(READ) flags 0x80700"
    assert damage.found(log(tmp_path, line), system_files(tmp_path / "sys")) == BAD


def test_records_that_were_overwritten_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = f"3,9,1,-;{CORRUPTED}\n".encode()
    answers: Iterator[bytes | OSError] = iter([BrokenPipeError(), record, BlockingIOError()])

    def read(_descriptor: int, _size: int) -> bytes:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    (tmp_path / "kmsg").touch()
    beneath = damage.beneath(system_files(tmp_path / "sys"))
    assert beneath == damage.Beneath("179:2", "mmcblk0", 32768, 1048576)
    monkeypatch.setattr(damage, "beneath", lambda _sys: beneath)
    monkeypatch.setattr(os, "read", read)
    assert damage.found(tmp_path / "kmsg") == BAD


def test_whole_slot_is_read(tmp_path: Path) -> None:
    size = 2 * CHUNK_BYTES + BLOCK_BYTES
    (tmp_path / "dm").write_bytes(bytes(size))
    rests: list[float] = []
    assert damage.read_slot(gently=True, device=tmp_path / "dm", rest=rests.append) == (size, None)
    assert len(rests) == 17
    assert damage.read_slot(device=tmp_path / "dm", rest=rests.append) == (size, None)
    assert len(rests) == 17, "only a gentle reading rests"


def test_what_u_boot_loads_is_read_however_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def read_bytes(path: Path) -> bytes:
        read.append(path.name)
        raise OSError(errno.EIO, "I/O error")

    for name in ("zImage", "board.dtb"):
        (tmp_path / name).touch()
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    damage.read_boot(tmp_path)
    damage.read_boot(tmp_path / "none")
    assert read == ["board.dtb", "zImage"]


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
    assert damage.read_slot(limit=1, device=tmp_path / "dm") == (size, Damage(1, 300)), "a trial need not know more"
    assert str(Damage(100, 1)) == "100 damaged blocks or more, the first at 0x1000 of the slot"
    assert str(Damage(3, 300)) == "3 damaged blocks, the first at 0x12c000 of the slot"


def test_another_error_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pread(_descriptor: int, _count: int, _at: int) -> bytes:
        raise OSError(errno.ENOMEM, "no memory")

    (tmp_path / "dm").write_bytes(bytes(BLOCK_BYTES))
    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(OSError, match="no memory"):
        damage.read_slot(device=tmp_path / "dm")


SICK = [Check("50-captured", False, "no samples")]


@pytest.fixture
def damaged(board: SlottedBoard) -> SlottedBoard:
    """Slot A, committed, is damaged, and its service does not run."""
    board.damaged, board.checks = BAD, SICK
    return board


def goes_on(board: SlottedBoard, commands: Commands, sick: str = "", bad: str = "A") -> list[str]:
    """The next boot: what it does. Slots in `bad` are damaged, those in `sick` do not pass their health checks."""
    board.boots()
    board.damaged = BAD if board.slot in bad else ""
    board.checks = SICK if board.slot in sick else []
    commands.boot()
    return board.done


def test_committed_slot_that_is_damaged_gives_way_to_the_other_which_commits_itself(
    damaged: SlottedBoard, commands: Commands, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.boot() is None
    assert damaged.done == ["active other", "reboot"], "its attempts are not given back"
    left = Event("damaged", "A", "1.0", BAD)
    assert store.load()[0] == State(Trial("B", "0.9", 1800, INSTALLED), left)
    assert (tmp_path / "data/reverted.log").exists()
    states: list[State] = []
    note = Commands._note

    def noted(self: Commands, action: str, health: str, found: dict[str, list[str]] | None = None) -> None:
        states.extend([store.load()[0]] if health == "passed" else [])
        note(self, action, health, found)

    monkeypatch.setattr(Commands, "_note", noted)
    assert goes_on(damaged, commands) == ["good booted"]
    assert (damaged.slot, store.load()[0]) == ("B", State(None, left))
    assert states == [State(None, left)], "who waits for the verdict must not see a trial"
    assert goes_on(damaged, commands) == ["good booted"]


def test_damage_in_what_u_boot_loads_counts(damaged: SlottedBoard, commands: Commands) -> None:
    damaged.damaged, damaged.boot_damage = "", BAD
    commands.boot()
    assert damaged.done == ["active other", "reboot"]


def test_damaged_slot_that_works_is_kept(damaged: SlottedBoard, commands: Commands, said: list[str]) -> None:
    damaged.checks = []
    commands.boot()
    assert damaged.done == ["good booted"]
    assert f"{BAD}; kept: its health checks pass" in said


def test_other_slot_that_is_not_healthy_is_no_way_out(
    damaged: SlottedBoard, commands: Commands, store: Store, said: list[str]
) -> None:
    commands.boot()
    assert goes_on(damaged, commands, sick="AB") == ["active other", "bad booted", "reboot"]
    assert goes_on(damaged, commands, sick="AB") == ["bad other", "active booted", "good booted"]
    last = store.load()[0].last
    assert last is not None
    assert (damaged.slot, last.event, last.slot) == ("A", "reverted", "B")
    damaged.bad.clear()  # as RAUC may have it
    assert goes_on(damaged, commands, sick="AB") == ["good booted"]
    assert any("slot B is no way out, reverted: health: 50-captured" in line for line in said)


@pytest.mark.parametrize("event", ["reverted", "interrupted", "install-failed"])
def test_slot_that_an_upgrade_has_left_there_is_not_tried(
    damaged: SlottedBoard, commands: Commands, store: Store, event: str
) -> None:
    store.save(State(None, Event(event, "B", "2.0", "because")))
    commands.boot()
    assert damaged.done == ["good booted"]


def test_slot_that_is_marked_bad_is_not_tried(damaged: SlottedBoard, commands: Commands, said: list[str]) -> None:
    damaged.bad = {"B"}
    commands.boot()
    assert damaged.done == ["good booted"]
    assert f"{BAD}; kept: slot B is marked bad" in said


def test_with_no_other_system_it_is_kept(
    damaged: SlottedBoard, commands: Commands, store: Store, said: list[str]
) -> None:
    damaged.other_version = ""
    assert commands.boot() is None
    assert damaged.done == ["good booted"]
    assert store.load()[0] == State()
    assert f"{BAD}; kept: slot B holds no system" in said


def test_both_slots_damaged_do_not_send_the_board_to_and_fro(
    damaged: SlottedBoard, commands: Commands, said: list[str]
) -> None:
    commands.boot()
    goes_on(damaged, commands)
    assert damaged.slot == "B"
    assert goes_on(damaged, commands, sick="AB", bad="AB") == ["good booted"]
    assert f"{BAD}; kept: slot A has been left for the same reason (valid: install an upgrade)" in said


@pytest.mark.parametrize(("cut", "slot"), [(0, "A"), (1, "B")])
def test_power_cut_while_it_gives_way(damaged: SlottedBoard, commands: Commands, cut: int, slot: str) -> None:
    """Cut before the other slot is made the first, the trial counts as failed: what runs is kept."""
    damaged.cut = cut
    with pytest.raises(PowerCut):
        commands.boot()
    for _ in range(3):
        done = goes_on(damaged, commands, sick="A")
    assert (damaged.slot, done) == (slot, ["good booted"])


def test_power_cut_while_the_other_one_commits_itself(damaged: SlottedBoard, commands: Commands, store: Store) -> None:
    commands.boot()
    damaged.boots()
    damaged.damaged, damaged.checks, damaged.cut = "", [], 0
    with pytest.raises(PowerCut):
        commands.boot()
    assert goes_on(damaged, commands) == ["good booted"]
    assert store.load()[0].trial is None


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
    assert said == ["read gently, up to 100", BAD]
    assert commands.status()["damage"] == BAD


def test_slot_that_cannot_be_read_is_an_error_and_passes_no_trial(
    board: SlottedBoard, commands: Commands, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_gently: bool, _limit: int) -> tuple[str, str]:
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
