# SPDX-License-Identifier: MIT
"""Several power cuts of a campaign at a time, each on a rig of its own.

A cut at an instant needs the live board, of which there is one; a recorded cut takes any other rig that is free. Each
cut ends with its board off. A violation is the end, and so is trouble of this computer, which is an error: cuts that
have not begun are not made, those under way are made to their end. Whoever stops the campaign (Ctrl-C) loses those.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue

from firmware import campaign
from firmware.campaign import Cut, Seen
from firmware.campaign_stand import Rig, Stand

Done = tuple[Seen, str, float]


def run(stand: Stand, cuts: list[Cut], make: Callable[[Rig, Cut], Seen]) -> Generator[Done]:
    """Make `cuts` with `make`: what was seen of each, its rig's name and its seconds, as they come to their end.

    Raises what `make` has raised, when all the others under way have been given.
    """
    free, ended, live = SimpleQueue[Rig](), threading.Event(), threading.Lock()
    for rig in stand.rigs:
        free.put(rig)

    def made(rig: Rig, one: Cut) -> Done:
        started = time.monotonic()
        try:
            seen = make(rig, one)
        except BaseException:
            ended.set()
            raise
        if campaign.violations(seen):
            ended.set()
        return seen, rig.folder.name, time.monotonic() - started

    def cut(one: Cut) -> Done | None:
        if one.kind == "instant":
            with live:
                return None if ended.is_set() else made(stand.live, one)
        rig = free.get()
        try:
            return None if ended.is_set() else made(rig, one)
        finally:
            free.put(rig)

    trouble: list[BaseException] = []
    with ThreadPoolExecutor(len(stand.rigs)) as pool:
        try:
            for future in as_completed([pool.submit(cut, one) for one in cuts]):
                if error := future.exception():
                    trouble.append(error)
                elif done := future.result():
                    yield done
        except BaseException:
            ended.set()
            stand.retire()  # nobody waits for boards that are off for good
            raise
    if trouble:
        raise trouble[0]
