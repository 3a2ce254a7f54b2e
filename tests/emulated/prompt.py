# SPDX-License-Identifier: MIT
"""U-Boot's prompt on an emulated board: `Prompt(emulator).run("mmc info")` is what the command printed.

The first command stops the boot: it types the word that ends U-Boot's countdown, some time before that begins (the UART
keeps it), so that a busy computer does not miss it. So power the board on (or reset it, and then call `enter`) and talk
to it at once. Each command is followed by an `echo` of its exit status:
that, and not the look of a prompt, tells where its output ends. Raises TargetError with what the console showed.
"""

from __future__ import annotations

import os
import re
import select
import socket
import time
from dataclasses import dataclass

from firmware.emulator import Emulator, connect
from firmware.errors import TargetError

BEFORE_COUNTDOWN = r"\nNet: "  # the UART's buffer is not emptied any more from here on
STOP_WORD = "stop"  # CONFIG_AUTOBOOT_STOP_STR
READY = r"(?:^|\n)=> $"
SECONDS = 60.0
LOOK_AGAIN = 0.02  # seconds: QEMU gives output to its client first, and to the log a moment later


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit status (0: it succeeded)."""

    status: int
    output: str


class Prompt:
    """The prompt of one board; every command takes at most `seconds`."""

    def __init__(self, emulator: Emulator, seconds: float = SECONDS) -> None:
        """Nothing is typed yet."""
        self._emulator = emulator
        self._seconds = seconds
        self._there = False
        self._start = 0  # where in the console's log the next thing is looked for

    def enter(self) -> None:
        """Stop the next countdown of U-Boot: after power-on, or after a reset."""
        self._wait(BEFORE_COUNTDOWN)
        self._wait(READY, typed=STOP_WORD)
        self._there = True

    def attempt(self, command: str) -> Answer:
        """Run `command`, whether it succeeds or not."""
        if not self._there:
            self.enter()
        found = self._wait(r"(?s)echo @\$\?@\r\n(.*?)(?:\r\n)?@(\d+)@\r\n=> $", typed=f"{command}; echo @$?@\n")
        return Answer(int(found[2]), found[1].replace("\r", ""))

    def run(self, command: str) -> str:
        """What `command` printed; TargetError when it fails."""
        answer = self.attempt(command)
        if answer.status:
            raise TargetError("U-Boot", f"{command}: exit status {answer.status}: {answer.output}")
        return answer.output

    def send(self, command: str, until: str) -> re.Match[str]:
        """Run a `command` that doesn't come back (`boot`, `reset`), until the console shows the pattern `until`."""
        if not self._there:
            self.enter()
        found = self._wait(until, typed=f"{command}\n")
        self._there = False
        return found

    def _wait(self, pattern: str, typed: str = "") -> re.Match[str]:
        deadline = time.monotonic() + self._seconds
        alive = os.pidfd_open(self._emulator.pid)
        try:
            with connect(self._emulator.folder / "console.sock") as console:
                console.sendall(typed.encode())
                ended = False
                while True:
                    text = self._emulator.console_log.read_bytes()[self._start :].decode("latin-1")
                    found = re.search(pattern, text)
                    if found:
                        self._start += found.end()
                        return found
                    if ended or time.monotonic() > deadline:
                        reason = "QEMU has ended" if ended else f"not seen within {self._seconds:.0f} s"
                        raise TargetError("U-Boot", f"{pattern!r}: {reason}:\n{text[-2000:]}")
                    watched: list[socket.socket | int] = [console, alive]
                    ready, _, _ = select.select(watched, [], [], LOOK_AGAIN)
                    ended = alive in ready
                    if console in ready:
                        console.recv(65536)
        finally:
            os.close(alive)
