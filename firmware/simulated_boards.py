# SPDX-License-Identifier: MIT
"""Boards that are only an SSH server and the protocol of `field-update`: to try a fleet on one computer.

    python -m firmware.simulated_boards COUNT < settings    prints the ports as JSON, ends when its input is closed

Each board takes a bundle through the tunnel, by ranges, as much of it as a board fetches that has the rest already; is
away while it reboots; examines the new slot; and is committed or goes back. Nothing is installed anywhere.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from firmware import paths
from firmware.identity import KeyPair
from firmware.ssh import BOOT_ID
from firmware.ssh_server import BREAK_OFF, Answer, FakeBoard

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What all of them are: identity, what they run and trust, and how long things take, in seconds."""

    host_private: str
    host_public: str
    login: str
    board: str
    version: str
    keyring: str
    share: float = 0.1  # of the bundle that is fetched
    install: float = 20.0
    reboot: float = 10.0
    examine: float = 5.0


class SimulatedBoard:
    """One board; `sick`: its new slot fails its health check; `dead`: it never comes back from its reboot."""

    def __init__(self, settings: Settings, sick: bool = False, dead: bool = False) -> None:
        """On, in slot A."""
        self.settings, self.sick, self.dead = settings, sick, dead
        self.versions, self.slot, self.boots = {"A": settings.version, "B": ""}, "A", 1
        self.trial: dict[str, Any] | None = None
        self.last: dict[str, str] | None = None
        self._up_at = self._judged_at = 0.0
        self._lock = threading.Lock()
        key = KeyPair(settings.host_private, settings.host_public)
        self.server = FakeBoard(key, settings.login, self.respond)

    def respond(self, command: str, _stdin: bytes) -> Answer:
        """Answer one command."""
        words = shlex.split(command.removeprefix("sudo -n -- "))
        if time.monotonic() < self._up_at:
            return BREAK_OFF, b"", b""
        if words[0] == "field-update":
            return getattr(self, f"_{words[1]}")(words)  # type: ignore[no-any-return]  # each gives an Answer
        if words[0] == "systemctl":
            self._boot("B" if self.trial else "A")
            return BREAK_OFF, b"", b""
        if words[0] == "sh":  # the survey of firmware/deploy.py
            release, keyring = (self._file(path) for path in words[4:6])
            status, said, _ = self._status([])
            return status, f"{release}\0{keyring}\0{int(time.time())}\0{said.decode()}".encode(), b""
        return 0, self._file(words[-1]).encode(), b""

    def _file(self, path: str) -> str:
        if path == BOOT_ID:
            return f"boot-{self.boots}\n"
        if path.endswith(".pem"):
            return self.settings.keyring
        facts = {"board": self.settings.board, "version": self.versions[self.slot], "kernel": "simulated"}
        return json.dumps(facts)

    def _boot(self, slot: str) -> None:
        with self._lock:
            self.slot, self.boots = slot, self.boots + 1
            self._up_at = time.monotonic() + (1e9 if self.dead else self.settings.reboot)
            self._judged_at = self._up_at + self.settings.examine

    def _status(self, _words: list[str]) -> Answer:
        tried = self.trial is not None and self.slot == "B"
        time.sleep(max(0.0, self._judged_at - time.monotonic()) if tried else 0.0)  # --wait: it answers when it knows
        if tried and self.sick:
            self.trial = None
            self.last = {
                "event": "reverted",
                "slot": "B",
                "version": self.versions["B"],
                "reason": "health: made to fail",
            }
            self._boot("A")
            return BREAK_OFF, b"", b""
        facts: dict[str, Any] = {"booted": self.slot, "trial": self.trial, "last": self.last, "problem": ""}
        facts |= {"health": "passed" if tried else "none", "deadline_left_seconds": 1000, "checks_on_install": True}
        return 0, json.dumps(facts).encode(), b""

    def _preflight(self, _words: list[str]) -> Answer:
        return 0, b'{"refusals": []}', b""

    def _install(self, words: list[str]) -> Answer:
        until = time.monotonic() + self.settings.install
        self._fetch(words[2])
        time.sleep(max(0.0, until - time.monotonic()))  # what the writing takes
        self.versions["B"] = words[words.index("--version") + 1]
        self.trial = {"slot": "B", "version": self.versions["B"]}
        return 0, b"100% Installing done.\n", b""

    def _fetch(self, url: str) -> None:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:  # noqa: S310  # our tunnel
            size = int(int(answer.headers["Content-Length"]) * self.settings.share)
        for at in range(0, size, CHUNK_BYTES):
            end = min(size, at + CHUNK_BYTES) - 1
            wanted = urllib.request.Request(url, headers={"Range": f"bytes={at}-{end}"})  # noqa: S310
            with urllib.request.urlopen(wanted) as answer:  # noqa: S310
                answer.read()

    def _commit(self, _words: list[str]) -> Answer:
        self.last = {"event": "committed", "slot": self.slot, "version": self.versions[self.slot], "reason": ""}
        self.trial = None
        return 0, b"", b""

    def _revert(self, words: list[str]) -> Answer:
        self.trial = None
        self.last = {"event": "reverted", "slot": "B", "version": self.versions["B"], "reason": words[-1]}
        self._boot("A")
        return BREAK_OFF, b"", b""


@contextmanager
def running(settings: Settings, count: int) -> Iterator[list[int]]:
    """`count` boards in a process of their own; their ports on the loopback."""
    command = [sys.executable, "-m", "firmware.simulated_boards", str(count)]
    with subprocess.Popen(  # noqa: S603  # argv, no shell
        command, cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin  # noqa: S101  # for mypy: both are pipes
        assert process.stdout  # noqa: S101
        process.stdin.write(json.dumps(asdict(settings)) + "\n")
        process.stdin.flush()
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


def main() -> None:
    """Run boards until standard input ends."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    boards = [SimulatedBoard(settings) for _ in range(int(sys.argv[1]))]
    print(json.dumps([board.server.port for board in boards]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
