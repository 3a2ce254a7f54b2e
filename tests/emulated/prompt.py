# SPDX-License-Identifier: MIT
"""U-Boot's prompt on an emulated board: `Prompt(emulator).run("mmc info")` is what the command printed.

The first command stops the boot: it types the word that ends U-Boot's countdown, some time before that begins (the UART
keeps it), so that a busy computer does not miss it. So power the board on (or reset it, and then call `enter`) and talk
to it at once. Each command is followed by an `echo` of its exit status:
that, and not the look of a prompt, tells where its output ends. Raises TargetError with what the console showed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from firmware import emulator_console
from firmware.emulator import Emulator
from firmware.errors import TargetError

BEFORE_COUNTDOWN = r"\nNet: "  # the UART's buffer is not emptied any more from here on
STOP_WORD = "stop"  # CONFIG_AUTOBOOT_STOP_STR
READY = r"(?:^|\n)=> $"
SECONDS = 60.0


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
        self._console = emulator_console.Reader(emulator.folder)

    def enter(self) -> None:
        """Stop the next countdown of U-Boot: after power-on, or after a reset."""
        self._wait(BEFORE_COUNTDOWN)
        self._wait(READY, typed=STOP_WORD)
        self._there = True

    def see(self, pattern: str) -> str:
        """Wait until the console shows `pattern`, and type nothing; what it matched."""
        return self._wait(pattern)[0]

    def attempt(self, command: str) -> Answer:
        """Run `command`, whether it succeeds or not."""
        if not self._there:
            self.enter()
        found = self._wait(r"(?s)echo @\$\?@\n(.*?)\n?@(\d+)@\n=> $", typed=f"{command}; echo @$?@\n")
        return Answer(int(found[2]), found[1])

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
        if typed:
            emulator_console.enter(self._emulator.folder, typed)
        return self._console.wait(pattern, self._emulator.pid, self._seconds)
