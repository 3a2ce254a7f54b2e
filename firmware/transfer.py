# SPDX-License-Identifier: MIT
"""Transfer: a bundle through the reverse tunnel into the slot that is not running, resumed when the link drops.

RAUC streams: it asks for the blocks that neither of its slots holds yet. An installation that the link has broken off
is begun again when the board answers; what it had written is not sent again. Each line that the board says is shown
with the bytes that went over the link, their rate, and how long it may take still.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from firmware import tunnel
from firmware.errors import TargetError
from firmware.httpd import RangeServer
from firmware.ssh import RETRY_SECONDS, Target, Unreachable

DEADLINE_SECONDS = 1800
INSTALL_SECONDS = 1800
SILENCE_SECONDS = 15.0  # then a line is shown though the board said nothing
LINK_ATTEMPTS = 5
BACK_SECONDS = 300.0  # so long a board whose link was lost is waited for, and for its broken-off installation to end
AT_WORK = "another field-update is at work"
UNLESS_PENDING = "--unless-pending"  # option of `field-update install`: what somebody else has installed stays
NOT_READY = 3  # exit status of `field-update install --ready`: what keeps the board from it is on its standard error
MIB = 1 << 20
_PERCENT = re.compile(r"^\s*(\d{1,3})% ")

Say = Callable[[str], None]


def show(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


class Progress:
    """Shows each line that the board says with what has gone over the link; a sign of life when it says nothing."""

    def __init__(self, server: RangeServer, say: Say) -> None:
        """Count what `server` sends, from now on."""
        self._server, self._say = server, say
        self._started, self._percent = time.monotonic(), 0
        self._over, self._spoken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Progress:
        """Begin to look for silence."""
        self._thread.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        """Stop."""
        self._over.set()
        self._thread.join()

    def line(self, text: str) -> None:
        """Show a line of the board's, with what has gone over the link so far, its rate, and when it may end."""
        self._spoken.set()
        if found := _PERCENT.match(text):
            self._percent = int(found[1])
        self._say(f"  {text.strip():44} {self.facts(time.monotonic() - self._started)}")

    def facts(self, seconds: float) -> str:
        """Bytes over the link after so many seconds, their rate, and the time left if RAUC's percentage goes on so."""
        sent, size = self._server.bytes_sent / MIB, self._server.size / MIB
        rate = sent / seconds if seconds else 0.0
        left = f", {seconds * (100 / self._percent - 1):.0f} s left" if 0 < self._percent < 100 else ""
        return f"{sent:6.1f} of {size:.1f} MiB sent, {rate:.1f} MiB/s, {seconds:.0f} s{left}"

    def _tick(self) -> None:
        while not self._over.wait(SILENCE_SECONDS):
            if not self._spoken.is_set():
                self._percent = 0  # its steps are not equally long: no end is guessed while it stands still
                self.line("(the board is at work)")
            self._spoken.clear()


def install(
    target: Target,
    bundle: Path,
    version: str = "",
    deadline_seconds: int = DEADLINE_SECONDS,
    say: Say = show,
    asks: Sequence[str] = (),
) -> int:
    """Install `bundle` into the other slot and put it on trial from the next boot on; bytes that went over the link.

    `asks`: options of `field-update install`, by which the board looks first whether it is ready. Raises TargetError
    with the board's reason: not ready, not signed by a known key, for another board, too old, no room; or Unreachable
    when the link was lost for good.
    """
    sent: list[int] = []
    options = ["--version", version, "--deadline", str(deadline_seconds), *asks]
    for left in reversed(range(LINK_ATTEMPTS)):
        try:
            _install(target, bundle, options, say, sent)
            break
        except Unreachable as error:
            if not left:
                raise
            say(f"the link was lost: {error.said}; it goes on when the board answers")
            target.close()
            target.wait_for_reboot("", BACK_SECONDS)  # any boot will do
            say(f"{target.name} answers again")
            options = [word for word in options if word != UNLESS_PENDING]  # it may be what this one has installed
    return sum(sent)


def not_ready(target: Target, reasons: Sequence[str]) -> TargetError:
    """The error that tells what keeps a board from an upgrade."""
    return TargetError(target.name, "\n    ".join(["is not ready for an upgrade, nothing was sent:", *reasons]))


def _install(target: Target, bundle: Path, options: Sequence[str], say: Say, sent: list[int]) -> None:
    started = time.monotonic()
    with tunnel.serve(target, bundle) as opened, Progress(opened.server, say) as progress:
        command = ["field-update", "install", opened.url, *options]
        try:
            done = target.run(command, sudo=True, timeout=INSTALL_SECONDS, say=progress.line)
            if AT_WORK in done.stderr:
                say(f"{target.name}: {AT_WORK}; its end is waited for")
            while AT_WORK in done.stderr and time.monotonic() - started < BACK_SECONDS:
                time.sleep(RETRY_SECONDS)  # paces the attempts; the evidence is the board's answer
                done = target.run(command, sudo=True, timeout=INSTALL_SECONDS, say=progress.line)
        finally:
            sent.append(opened.server.bytes_sent)
        if done.status == NOT_READY:
            raise not_ready(target, done.stderr.splitlines())
        if done.status:
            raise TargetError(target.name, f"not installed, the running slot is untouched: {done.stderr.strip()}")
        say(f"installed: {progress.facts(time.monotonic() - started).strip()}")
