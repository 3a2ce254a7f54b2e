# SPDX-License-Identifier: MIT
"""Watches the ring while a case captures: one `capturectl top --json` over a channel of its own."""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType
from typing import IO

from firmware.ssh import Target

OPEN_SECONDS = 300.0
COMMAND = "sudo -n -- capturectl top --json --seconds=0.5"


class Occupancy:
    """`samples`: (seconds since it began, filled blocks that are not free again), while the block runs."""

    def __init__(self, target: Target) -> None:
        """Nothing is sent yet."""
        self.samples: list[tuple[float, int]] = []
        self.blocks = 0
        self._target = target

    def __enter__(self) -> Occupancy:
        """Begin to watch."""
        self._channel = self._target.transport.open_session(timeout=OPEN_SECONDS)
        self._channel.exec_command(COMMAND)
        self._thread = threading.Thread(target=self._read, args=(self._channel.makefile("r"),), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; the command on the board ends as it cannot write any more."""
        self._channel.close()
        self._thread.join(10)

    def _read(self, lines: IO[str]) -> None:
        began = time.monotonic()
        for line in lines:
            if not line.endswith("\n"):
                return
            status = json.loads(line)
            ring = status["ring"]
            self.blocks = status["device"]["blocks"]
            self.samples.append((time.monotonic() - began, ring["blocks_done"] + ring["blocks_user"]))
