# SPDX-License-Identifier: MIT
"""Where a board is that another test has put on: ports on loopback, console's log, known hosts, as a JSON file.

So that one test can run the whole suite against its own emulated board, in a process of its own (`--place=FILE`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from firmware.known_hosts import KnownHosts
from firmware.reach import LOOPBACK, Reach
from firmware.ssh import Target


@dataclass(frozen=True)
class Place:
    """`console` and `known_hosts` are files."""

    ssh_port: int
    stream_port: int
    console: str
    known_hosts: str

    def save(self, path: Path) -> None:
        """Write it to `path`."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    def reach(self) -> Reach:
        """The board there, not connected yet."""
        target = Target(LOOPBACK, self.ssh_port, known=KnownHosts(Path(self.known_hosts)))
        return Reach(target, (LOOPBACK, self.stream_port), Path(self.console))


def load(path: Path) -> Place:
    """What `save` has written."""
    return Place(**json.loads(path.read_text(encoding="utf-8")))
