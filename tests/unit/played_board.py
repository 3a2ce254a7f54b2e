# SPDX-License-Identifier: MIT
"""A board that is played, without SSH: it answers what `field-update` would."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import deploy, inspection, ssh, transfer, tunnel
from firmware.deploy import Offer
from firmware.errors import TargetError, ToolError
from firmware.inspection import Content

CONTENT = Content("cyclone-capture-x1", "2.0", 4096, False)


def play(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedBoard:
    """A played board, and around it what `deploy` needs, quick and without a network."""

    @contextlib.contextmanager
    def serve(_target: ssh.Target, _file: Path) -> Iterator[Any]:
        yield SimpleNamespace(url="http://127.0.0.1:1/x", server=SimpleNamespace(bytes_sent=5, size=50))

    monkeypatch.setattr(tunnel, "serve", serve)
    monkeypatch.setattr(inspection, "inspect", lambda _bundle, _keyring: CONTENT)
    monkeypatch.setattr(inspection, "out_of_time", lambda _bundle, _keyring, _at: "")
    monkeypatch.setattr(deploy, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(transfer, "RETRY_SECONDS", 0.0)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return PlayedBoard()


def offer(folder: Path) -> Offer:
    """Version 2.0 for it."""
    bundle = folder / "x1.raucb"
    bundle.write_bytes(b"bundle")
    return Offer("x1", "2.0", bundle, hashlib.sha256(b"bundle").hexdigest())


def refuse() -> None:
    """An acceptance that fails."""
    raise ToolError(["pytest"], 1, "", "1 failed")


class PlayedBoard(ssh.Target):
    """A board that runs version 1.0 in slot A; `healthy`, `comes_up` and `refuses` say how an upgrade goes."""

    def __init__(self, name: str = "board-7") -> None:
        """Slot B is empty until something is installed."""
        super().__init__(name)
        self.slot, self.versions, self.boots = "A", {"A": "1.0", "B": ""}, 0
        self.trial: dict[str, Any] | None = None
        self.last: dict[str, str] | None = None
        self.health, self.healthy, self.comes_up, self.refuses = "none", True, True, ""
        self.lost: TargetError | None = None
        self.stuck = False
        self.commands: list[str] = []
        self.not_ready: list[str] = []
        self.loader_said = "the boot loader is new from the next boot on\n"
        self.environment_wrong: list[str] = []
        self.drops = 0
        self.old = False  # its `field-update install` does not look itself whether it is ready
        self.survey = self.log = ""
        self.clock = 1_700_000_000

    def connect(self, timeout: float = 0) -> None:
        """It is always there."""

    def boot_id(self) -> str:
        """The number of its boots."""
        return str(self.boots)

    def reboot(self) -> None:
        """Boot what is on trial, or else what ran."""
        self.commands.append("reboot")
        self._boot()

    def wait_for_reboot(self, old_boot_id: str, timeout: float = 0) -> str:
        """It has rebooted before anybody asks."""
        assert str(self.boots) != old_boot_id, "nothing has rebooted"
        return str(self.boots)

    def _boot(self) -> None:
        self.boots += 1
        self.health = "none"
        if self.trial and self.comes_up:
            self.slot = self.trial["slot"]
            self.health = "passed" if self.healthy else "failed"
        elif self.trial:
            self._fall_back("slot B did not come up")

    def _fall_back(self, reason: str) -> None:
        self.trial, self.slot, self.health = None, "A", "none"
        self.last = {"event": "reverted", "slot": "B", "version": "2.0", "reason": reason}

    def run(
        self,
        command: Sequence[str],
        sudo: bool = False,
        timeout: float = 0,
        stdin: bytes = b"",
        say: Callable[[str], None] | None = None,
    ) -> ssh.Result:
        """Answer what the service `field-update` would."""
        if command[0] == "cat" and command[-1].endswith(".log"):
            return ssh.Result(0, self.log, "") if self.log else ssh.Result(1, "", "no such file")
        if command[0] == "cat":
            return ssh.Result(0, self._release(), "")
        if command[0] == "sh":
            said = self.run(["field-update", "status"]).stdout
            return ssh.Result(0, self.survey or f"{self._release()}\0keyring\0{self.clock}\0{said}", "")
        assert command[0] == "field-update"
        self.commands.append(command[1])
        answers = {"status": self._status, "install": self._install, "commit": self._commit, "revert": self._revert}
        answers |= {"preflight": self._preflight, "rollback": self._rollback, "boot-loader": self._boot_loader}
        return answers[command[1]](command)

    def _release(self) -> str:
        return json.dumps({"board": "x1", "version": self.versions[self.slot], "kernel": "6.12"})

    def _preflight(self, _command: Sequence[str]) -> ssh.Result:
        return ssh.Result(0, json.dumps({"refusals": self.not_ready}), "")

    def _boot_loader(self, _command: Sequence[str]) -> ssh.Result:
        if self.loader_said:
            return ssh.Result(0, self.loader_said, "")
        return ssh.Result(1, "", "field-update: the boot loader does not fit")

    def _rollback(self, _command: Sequence[str]) -> ssh.Result:
        if not self.versions["B"]:
            return ssh.Result(1, "", "field-update: slot B holds no system")
        self.trial = {"slot": "B", "version": self.versions["B"]}
        self._boot()
        if self.lost:
            raise self.lost
        return ssh.Result(0, f"slot B, version {self.versions['B']}, is tried for at most 1800 s\n", "")

    def _status(self, _command: Sequence[str]) -> ssh.Result:
        said = {"booted": self.slot, "trial": self.trial, "last": self.last, "health": self.health}
        said["environment"] = {"wrong": self.environment_wrong, "noted": []}
        if self.health == "failed" and not self.stuck:
            self.boots += 1
            self._fall_back("health: made to fail")
            if self.lost:
                raise self.lost
        knows: dict[str, Any] = {} if self.old else {"checks_on_install": True, "knows_pending": True}
        return ssh.Result(0, json.dumps({**said, **knows, "deadline_left_seconds": 100}), "")

    def _install(self, command: Sequence[str]) -> ssh.Result:
        if self.drops:
            self.drops -= 1
            raise ssh.Unreachable(self.name, "connection lost")
        if "--ready" in command and self.not_ready:
            return ssh.Result(3, "", "\n".join(self.not_ready) + "\n")
        if self.refuses:
            return ssh.Result(1, "", f"field-update: {self.refuses}")
        self.versions["B"] = command[command.index("--version") + 1]
        self.trial = {"slot": "B", "version": self.versions["B"]}
        return ssh.Result(0, "", "")

    def _commit(self, _command: Sequence[str]) -> ssh.Result:
        self.trial = None
        return ssh.Result(0, "", "")

    def _revert(self, command: Sequence[str]) -> ssh.Result:
        self.boots += 1
        self._fall_back(command[-1])
        raise ssh.Unreachable(self.name, "gone")
