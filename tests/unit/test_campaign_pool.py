# SPDX-License-Identifier: MIT
"""Cuts of several rigs at a time: a stop and a violation first, then that they are made at once, and each one once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from firmware import campaign_pool, campaign_stand
from firmware.campaign import Cut, Kind, Seen
from firmware.campaign_stand import PowerGone, Rig
from firmware.choice import Choice
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
    played: Any = stand
    return list(campaign_pool.run(played, wanted, make))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(Choice(), tmp_path / "rig", KnownHosts(tmp_path / "known_hosts"))


def test_rig_that_is_retired_is_not_switched_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_stand, "Emulator", lambda *_words, **_options: pytest.fail("switched on"))
    rig.retire()
    with pytest.raises(PowerGone, match="the campaign was stopped"):
        rig.on()


def test_whoever_stops_does_not_wait_for_the_cuts_under_way() -> None:
    stand = Stand()

    def make(board: Board, one: Cut) -> Seen:
        if one.number == 1:
            raise KeyboardInterrupt
        assert board.gone.wait(SECONDS), "it would have gone on to its end"
        return good(one)

    with pytest.raises(KeyboardInterrupt):
        run(stand, cuts("write", "write", "instant"), make)
    assert stand.live.gone.is_set()


def test_cuts_that_have_not_begun_are_not_made_behind_a_violation() -> None:
    under_way, begun = threading.Event(), []

    def make(_board: Board, one: Cut) -> Seen:
        begun.append(one.number)
        if one.number == 1:
            assert under_way.wait(SECONDS)
            return Seen(one, "", trouble="has not answered")
        under_way.set()
        return good(one)

    def first(_board: Board, one: Cut) -> Seen:
        seen = make(_board, one)
        return seen if one.number == 1 or one.number > 2 else wait_for_the_first(seen)

    ended = threading.Event()

    def wait_for_the_first(seen: Seen) -> Seen:
        assert ended.wait(SECONDS)
        return seen

    found = []
    played: Any = Stand()
    play: Any = first
    for seen, _name, _seconds in campaign_pool.run(played, cuts("write", "write", "write", "instant"), play):
        found.append(seen.cut.number)
        ended.set()
    assert sorted(begun) == [1, 2]
    assert found == [1, 2], "the one under way was made to its end"


def test_cuts_are_made_at_once_and_the_live_board_has_one_of_them() -> None:
    both, live, most = threading.Barrier(2), threading.Lock(), []

    def make(board: Board, one: Cut) -> Seen:
        if one.kind == "instant":
            assert live.acquire(blocking=False), "two upgrades of the live board"
            most.append(board.folder.name)
            live.release()
        else:
            both.wait(SECONDS)
        return good(one)

    wanted = cuts("write", "write", "instant", "instant", "loader", "step")
    found = run(Stand(), wanted, make)
    assert sorted(seen.cut.number for seen, _name, _seconds in found) == [1, 2, 3, 4, 5, 6]
    assert {name for seen, name, _seconds in found if seen.cut.kind != "instant"} == {"rig-1", "rig-2"}
    assert most == ["live", "live"]
