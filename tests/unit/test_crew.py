# SPDX-License-Identifier: MIT
"""Threads that work off a list: what one of them raises, what a stop leaves undone, then results of all."""

from __future__ import annotations

import threading

import pytest

from firmware.crew import Crew

pytestmark = pytest.mark.unit


def test_what_one_raises_is_raised() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise OSError(28, "No space left on device")
        return number

    crew = Crew(work, [1], 2)
    with pytest.raises(OSError, match="No space left"):
        list(crew.results())


def test_stop_ends_what_is_under_way_and_begins_nothing_more() -> None:
    begun, go_on = threading.Barrier(2), threading.Event()

    def work(number: int) -> int:
        if number < 2:
            begun.wait(30)
        if number == 0:
            raise OSError(28, "No space left on device")
        assert go_on.wait(30)
        return number

    crew = Crew(work, list(range(10)), 2)
    with pytest.raises(OSError, match="No space left"):
        next(crew.results())
    under_way = crew.stop()
    assert under_way in ([1], [1, 2]), "whose thread failed may have taken one more"
    go_on.set()
    assert sorted(crew.rest()) == under_way


def test_each_thing_is_worked_on_once() -> None:
    assert sorted(Crew(lambda number: number * 2, range(200), 7).results()) == list(range(0, 400, 2))
    assert list(Crew(str, [], 5).results()) == []


def test_never_more_than_its_size_at_a_time() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(_number: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(30)
        with lock:
            now -= 1

    together = threading.Barrier(3)
    assert len(list(Crew(work, range(9), 3).results())) == 9
    assert most == 3
