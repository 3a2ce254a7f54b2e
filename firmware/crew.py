# SPDX-License-Identifier: MIT
"""A crew: threads that work off a list of things, and that can be told to end what they are at and begin nothing more.

    crew = Crew(work, things, size=20)
    for result in crew.results():          # as they come; raises what `work` has raised
        ...
    names = crew.stop()                    # after an interruption: what is under way
    for result in crew.rest():             # until that has ended
        ...

Python's own pool of threads waits for all of them when the program ends, so Ctrl-C would not end it. These are daemons:
who does not ask for the `rest` leaves them behind.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
LOOK_SECONDS = 0.2  # between two looks whether somebody is still at work


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class Crew(Generic[T, R]):
    """Up to `size` threads that do `work` on each of `things`, in this order."""

    def __init__(self, work: Callable[[T], R], things: Sequence[T], size: int) -> None:
        """Nothing is begun yet."""
        self._work, self._todo, self._count = work, deque(things), len(things)
        self._lock, self._under_way = threading.Lock(), list[T]()
        self._done: queue.SimpleQueue[R | _Failed] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(min(size, self._count))]

    def results(self) -> Iterator[R]:
        """Begin; one of each thing, as they come."""
        for thread in self._threads:
            thread.start()
        for _ in range(self._count):
            yield _checked(self._done.get())

    def stop(self) -> list[T]:
        """Begin nothing more; what is under way."""
        with self._lock:
            self._todo.clear()
            return list(self._under_way)

    def rest(self) -> Iterator[R]:
        """Results of what is under way behind `stop`, as they come; ends with the last one."""
        while any(thread.is_alive() for thread in self._threads):
            with suppress(queue.Empty):
                yield _checked(self._done.get(timeout=LOOK_SECONDS))
        while not self._done.empty():
            yield _checked(self._done.get())

    def _run(self) -> None:
        while self._todo:
            with self._lock:
                if not self._todo:  # somebody else has taken the last one
                    return
                thing = self._todo.popleft()
                self._under_way.append(thing)
            result: R | _Failed
            try:
                result = self._work(thing)
            except BaseException as error:
                result = _Failed(error)
            with self._lock:
                self._under_way.remove(thing)
            self._done.put(result)


def _checked(found: R | _Failed) -> R:
    if isinstance(found, _Failed):
        raise found.error
    return found
