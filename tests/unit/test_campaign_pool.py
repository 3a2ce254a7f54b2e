# SPDX-License-Identifier: MIT
"""Cuts of several rigs at a time: a stop and a violation first, then that they are made at once, and each one once."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from firmware import campaign_pool, campaign_stand
from firmware.campaign import Cut, Kind, Seen
from firmware.campaign_stand import PowerGone, Rig
from firmware.choice import Choice
from firmware.errors import TargetError
from firmware.known_hosts import KnownHosts

pytestmark = pytest.mark.unit
SECONDS = 30.0  # after which a test that waits for ever has failed


class Board:
    """A rig that is played."""

    def __init__(self, name: str) -> None:
        """It is off."""
        self.folder, self.gone = Path(name), threading.Event()

    def retire(self) -> None:
        """Off, for good."""
        self.gone.set()


class Stand:
    """One live board, and two others."""

    def __init__(self) -> None:
        """All are off."""
        self.live, self.rigs = Board("live"), [Board("rig-1"), Board("rig-2")]

    def retire(self) -> None:
        """All of them."""
        for board in (self.live, *self.rigs):
            board.retire()


def cuts(*kinds: Kind) -> list[Cut]:
    return [Cut(number, kind, 0.5, False) for number, kind in enumerate(kinds, 1)]


def good(one: Cut) -> Seen:
    return Seen(one, "", "1", ("1", "2"), True, True, True, True)


def run(stand: Stand, wanted: list[Cut], make: Any) -> list[tuple[Seen, str, float]]:
    return list(campaign_pool.run(cast(Any, stand), wanted, make))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(Choice(), tmp_path / "rig", KnownHosts(tmp_path / "known_hosts"))


def test_rig_that_is_retired_is_not_switched_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_stand, "Emulator", lambda *_words, **_options: pytest.fail("switched on"))
    rig.retire()
    with pytest.raises(PowerGone, match="the campaign was stopped"):
        rig.on()


def test_board_that_was_switched_on_while_it_was_retired_goes_off(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def start() -> None:
        rig.retire()
        done.append("on")

    machine = SimpleNamespace(start=start, stop=lambda: done.append("off"))
    monkeypatch.setattr(campaign_stand, "Emulator", lambda *_words, **_options: machine)
    with pytest.raises(PowerGone):
        rig.start()
    assert done == ["on", "off"]


@pytest.mark.parametrize(
    ("status", "log", "killed"),
    [(0, "", False), (-9, "", True), (1, "", True), (0, "qemu: terminating on signal 2 from pid 7", True)],
)
def test_qemu_that_was_killed_is_no_power_cut(rig: Rig, status: int, log: str, killed: bool) -> None:
    assert not rig.killed(), "it was never on"
    (rig.folder / "qemu.log").write_text("")
    running: Any = SimpleNamespace(wait_off=still_on, log=rig.folder / "qemu.log")
    rig.machine = running
    assert not rig.killed(), "it is on"
    (rig.folder / "qemu.log").write_text(log)
    machine: Any = SimpleNamespace(wait_off=lambda _timeout: status, log=rig.folder / "qemu.log")
    rig.machine = machine
    assert rig.killed() is killed
    rig.retire()
    assert rig.killed(), "whoever stops it ends it without a trace: that is no cut either"


def still_on(_timeout: float) -> int:
    raise TargetError("emulator", "the emulated board is still on")


def test_whoever_stops_does_not_wait_for_the_cuts_under_way() -> None:
    stand, under_way = Stand(), threading.Event()

    def make(board: Board, one: Cut) -> Seen:
        if one.number == 1:
            assert under_way.wait(SECONDS)
        else:
            under_way.set()
            assert board.gone.wait(SECONDS), "it would have gone on to its end"
        return good(one)

    played, play = cast(Any, stand), cast(Any, make)
    made = campaign_pool.run(played, cuts("write", "loader", "instant"), play)
    assert next(made)[0].cut.number == 1
    made.close()
    assert stand.live.gone.is_set()


def test_trouble_is_raised_behind_what_the_others_have_seen() -> None:
    under_way, found = threading.Event(), []

    def make(_board: Board, one: Cut) -> Seen:
        if one.number == 1:
            assert under_way.wait(SECONDS)
            raise TargetError("emulated board", "QEMU has ended")
        under_way.set()
        return good(one)

    def collect() -> None:
        wanted = cuts("write", "instant", "write", "write", "write", "write", "write")
        for seen, _name, _seconds in campaign_pool.run(cast(Any, Stand()), wanted, cast(Any, make)):
            found.append(seen.cut.number)

    with pytest.raises(TargetError, match="QEMU has ended"):
        collect()
    assert 2 in found


def test_cuts_that_have_not_begun_are_not_made_behind_a_violation() -> None:
    under_way, told, begun, found = threading.Event(), threading.Event(), [], []

    def make(_board: Board, one: Cut) -> Seen:
        begun.append(one.number)
        if one.number == 1:
            assert under_way.wait(SECONDS)
            return Seen(one, "", trouble="has not answered")
        under_way.set()
        assert told.wait(SECONDS)
        return good(one)

    wanted, played, play = cuts("write", "write", "write", "instant"), cast(Any, Stand()), cast(Any, make)
    for seen, _name, _seconds in campaign_pool.run(played, wanted, play):
        found.append(seen.cut.number)
        told.set()
    assert sorted(begun) == [1, 2]
    assert found == [1, 2], "the one under way was made to its end"


def test_recorded_cuts_are_made_at_once() -> None:
    both = threading.Barrier(2)

    def make(_board: Board, one: Cut) -> Seen:
        both.wait(SECONDS)
        return good(one)

    found = run(Stand(), cuts("write", "write", "loader", "step"), make)
    assert sorted(seen.cut.number for seen, _name, _seconds in found) == [1, 2, 3, 4]
    assert {name for _seen, name, _seconds in found} == {"rig-1", "rig-2"}


def test_live_board_has_one_cut_at_a_time() -> None:
    begun, second = [], threading.Event()

    def make(board: Board, one: Cut) -> Seen:
        assert board.folder.name == "live"
        begun.append(one.number)
        if len(begun) == 2:
            second.set()
        else:
            assert not second.wait(0.3), "the other worker is there at once when nobody stops it"
        return good(one)

    assert len(run(Stand(), cuts("instant", "instant"), make)) == 2
    assert sorted(begun) == [1, 2]
