# SPDX-License-Identifier: MIT
"""Deploy: bring a bundle onto a board as an upgrade of its other slot, try it, and keep it or go back.

    check      the bundle is what the manifest says; the board answers with its pinned key, is of the right kind, runs
               another version and tries nothing
    install    through a reverse tunnel, streamed by RAUC into the slot that is not running; then reboot
    examine    the board boots the new slot and runs its own health checks; a failure there reverts by itself
    accept     the caller's acceptance; then commit, else revert, and the old slot is waited for

All of it may be interrupted: what was not committed before the board's deadline is reverted by the board alone, and
`deploy` again goes on with the trial of the same version. Raises UserError for what is refused before the first write,
TargetError for a failed installation; an upgrade that was undone is no exception but an `Outcome` that says why.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from firmware import tunnel
from firmware.errors import FirmwareError, TargetError, UserError
from firmware.httpd import RangeServer
from firmware.manifest import Manifest
from firmware.ssh import RETRY_SECONDS, Late, Target, Unreachable

RELEASE = "/usr/share/cyclone-capture/release.json"
DEADLINE_SECONDS = 1800
INSTALL_SECONDS = 1800
EXAMINE_SECONDS = 600
STATUS_SECONDS = 20
REVERT_SECONDS = 30.0  # the network may go down before the answer has come
SILENCE_SECONDS = 15.0  # then a line is shown though the board said nothing
MIB = 1 << 20

Say = Callable[[str], None]
Status = dict[str, Any]


def _print(text: str) -> None:
    print(text, flush=True)


@dataclass(frozen=True)
class Offer:
    """What is to be deployed: the file of a bundle, its SHA-256, and the board and version that it is for."""

    board: str
    version: str
    bundle: Path
    sha256: str

    @classmethod
    def of(cls, manifest: Manifest) -> Offer:
        """The bundle that was built."""
        return cls(manifest.board, manifest.version, manifest.path("bundle"), manifest.files["bundle"].sha256)


@dataclass(frozen=True)
class Outcome:
    """How it ended: the slot and version that the board runs now, and the reason when the upgrade was undone."""

    action: Literal["committed", "reverted", "unchanged"]
    slot: str
    version: str
    reason: str = ""


class Progress:
    """Shows each line that the board says with what has gone over the link; a sign of life when it says nothing."""

    def __init__(self, server: RangeServer, say: Say) -> None:
        """Count what `server` sends, from now on."""
        self._server, self._say = server, say
        self._started = time.monotonic()
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
        """Show a line of the board's, with what has gone over the link so far, and the time."""
        self._spoken.set()
        sent, size = self._server.bytes_sent / MIB, self._server.size / MIB
        self._say(f"  {text.strip():48} {sent:6.1f} of {size:.1f} MiB sent, {time.monotonic() - self._started:.0f} s")

    def _tick(self) -> None:
        while not self._over.wait(SILENCE_SECONDS):
            if not self._spoken.is_set():
                self.line("...")
            self._spoken.clear()


def deploy(
    target: Target,
    offer: Offer,
    accept: Callable[[], None] | None = None,
    force: bool = False,
    say: Say = _print,
    deadline_seconds: int = DEADLINE_SECONDS,
) -> Outcome:
    """Upgrade the board; `accept` raises a FirmwareError to refuse it, `force` installs the same version again."""
    check_bundle(offer)
    release, before = check_board(target, offer)
    if not _on_trial(before):
        if release["version"] == offer.version and not force:
            say(f"{target.name} runs {offer.version} already, in slot {before['booted']}")
            return Outcome("unchanged", before["booted"], offer.version)
        install(target, offer.bundle, offer.version, deadline_seconds, say)
        reboot(target, say)
    elif before["trial"]["version"] != offer.version:
        tried = before["trial"]["version"] or "(unknown)"
        raise TargetError(
            target.name,
            f"slot {before['booted']} is on trial with version {tried}, not {offer.version} "
            f"(valid: wait {before['deadline_left_seconds']} s until it goes back by itself, or: field-update revert)",
        )
    else:
        say(f"{target.name}: going on with the trial of {offer.version} in slot {before['booted']}")
    return _try(target, offer, accept, say)


def check_bundle(offer: Offer) -> None:
    """Raise UserError unless the bundle is there and is what the manifest says."""
    if not offer.bundle.is_file():
        raise UserError(f"no bundle {offer.bundle} (valid: one made by ./inv build)")
    with offer.bundle.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != offer.sha256:
        raise UserError(f"{offer.bundle}: SHA-256 is {found} (valid: the manifest's, {offer.sha256}; run ./inv build)")


def check_board(target: Target, offer: Offer) -> tuple[dict[str, str], Status]:
    """The board's release and its update status. Raises UserError when the offer is for another board."""
    target.connect()
    release: dict[str, str] = json.loads(target.get(RELEASE))
    if (board := release["board"]) != offer.board:
        raise UserError(f"{target.name} is a {board}, the bundle is for {offer.board} (valid: --board={board})")
    return release, verdict(target)


def status(target: Target, wait_seconds: int = 0) -> Status:
    """`field-update status` of the board; waits so long, there, for the verdict on a boot."""
    command = ["field-update", "status", "--json", "--wait", str(wait_seconds)]
    try:
        found: Status = json.loads(target.output(command, sudo=True, timeout=wait_seconds + 40))
    except json.JSONDecodeError as error:
        raise TargetError(target.name, f"field-update says nothing that can be used: {error}") from error
    return found


def verdict(target: Target, timeout: float = EXAMINE_SECONDS) -> Status:
    """The status once the board has judged its boot; a board that goes back by itself is followed through its reboot.

    The connection may go at any time meanwhile. After `timeout` it is the last status, with what is known by then.
    """
    until = time.monotonic() + timeout
    now: Status | None = None
    lost: TargetError | None = None
    while time.monotonic() < until:
        try:
            now = status(target, STATUS_SECONDS)
            if now["health"] not in ("pending", "running", "failed"):
                return now
        except (Unreachable, Late) as error:
            lost = error
            target.close()
        time.sleep(RETRY_SECONDS)  # paces the attempts; the evidence is the status
    if now is None:
        raise lost or Unreachable(target.name, "does not say how it is")
    return now


def install(
    target: Target, bundle: Path, version: str = "", deadline_seconds: int = DEADLINE_SECONDS, say: Say = _print
) -> None:
    """Install `bundle` into the other slot and put it on trial from the next boot on.

    Raises TargetError with RAUC's reason: not signed by a known key, for another board, no room, link lost.
    """
    started = time.monotonic()
    with tunnel.serve(target, bundle) as opened:
        command = ["field-update", "install", opened.url, "--version", version, "--deadline", str(deadline_seconds)]
        with Progress(opened.server, say) as progress:
            done = target.run(command, sudo=True, timeout=INSTALL_SECONDS, say=progress.line)
        if done.status:
            raise TargetError(target.name, f"not installed, the running slot is untouched: {done.stderr.strip()}")
        size, sent = opened.server.size / MIB, opened.server.bytes_sent / MIB
    say(f"installed in {time.monotonic() - started:.0f} s: {sent:.1f} of {size:.1f} MiB were sent")


def reboot(target: Target, say: Say = _print) -> None:
    """Reboot the board and wait until it answers in the new boot."""
    old, started = target.boot_id(), time.monotonic()
    say("rebooting")
    target.reboot()
    target.wait_for_reboot(old)
    say(f"answers again after {time.monotonic() - started:.0f} s")


def commit(target: Target) -> None:
    """Keep the slot that is on trial. Raises TargetError."""
    target.output(["field-update", "commit"], sudo=True)


def revert(target: Target, reason: str, say: Say = _print) -> Status:
    """Make the board go back to the other slot, wait for that, and return its status then."""
    old = target.boot_id()
    try:
        target.output(["field-update", "revert", "--reason", reason], sudo=True, timeout=REVERT_SECONDS)
    except (Unreachable, Late):
        say("the connection went while it was reverting")
    target.wait_for_reboot(old)
    return verdict(target)


def _try(target: Target, offer: Offer, accept: Callable[[], None] | None, say: Say) -> Outcome:
    now = verdict(target)
    if not _on_trial(now):
        return _undone(target, now, say)
    reason, found = "", json.loads(target.get(RELEASE))
    if now["health"] != "passed":
        reason = f"no verdict on its health after {EXAMINE_SECONDS} s ({now['health']})"
    elif found["version"] != offer.version:
        reason = f"it runs {found['version']}, not {offer.version}"
    if not reason and accept is not None:
        say(f"slot {now['booted']} is healthy; acceptance begins, {now['deadline_left_seconds']} s are left")
        try:
            accept()
        except FirmwareError as error:
            reason = f"acceptance: {error}"
    if reason:
        say(f"refused, going back: {reason}")
        return _undone(target, revert(target, reason, say), say)
    commit(target)
    say(f"{target.name}: slot {now['booted']} is committed, version {offer.version}")
    return Outcome("committed", now["booted"], offer.version)


def _undone(target: Target, now: Status, say: Say) -> Outcome:
    last = now["last"] or {}
    reason = last.get("reason") or "the board does not say why"
    release = json.loads(target.get(RELEASE))
    say(f"{target.name}: back in slot {now['booted']}, version {release['version']}: {reason}")
    return Outcome("reverted", now["booted"], release["version"], reason)


def _on_trial(now: Status) -> bool:
    return now["trial"] is not None and now["trial"]["slot"] == now["booted"]
