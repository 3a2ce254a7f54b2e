# SPDX-License-Identifier: MIT
"""Deploy: bring a bundle onto a board as an upgrade of its other slot, try it, and keep it or go back.

    check      the bundle is what the manifest says; the board answers with its pinned key, is of the right kind, runs
               another version and tries nothing; by the board's own keyring the bundle is whole and its parts fit
    install    when the board is ready (space, slot, version, power, clock): through a reverse tunnel, streamed by RAUC
               into the slot that is not running; then reboot
    examine    the board boots the new slot and runs its own health checks; a failure there reverts by itself
    accept     the caller's acceptance; then commit, else revert, and the old slot is waited for
    boot loader    when asked for, once the version is kept: SPL and U-Boot become its own, and have to boot the board

All of it may be interrupted: what was not committed before the board's deadline is reverted by the board alone, and
`deploy` again goes on with the trial of the same version. Raises UserError for what is refused before the first write,
TargetError for a failed installation; an upgrade that was undone is no exception but an `Outcome` that says why.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Literal

from firmware import fit, inspection, paths, transfer
from firmware.errors import FirmwareError, TargetError, UserError
from firmware.fit import RELEASE
from firmware.manifest import Manifest
from firmware.ssh import RETRY_SECONDS, Late, Target, Unreachable
from firmware.transfer import DEADLINE_SECONDS, Say, show

KEYRING = "/etc/rauc/keyring.pem"
REVERTED_LOG = "/data/field-update/reverted.log"
LOG_LINES = 20
EXAMINE_SECONDS = 600
STATUS_SECONDS = 20
PREFLIGHT_SECONDS = 180.0
LOADER_SECONDS = 600.0
COMMIT_SECONDS = 300.0  # a board that captures at its limit, or an emulated one on a busy computer, takes its time
LOADER_THERE = "the boot loader is this one already"
REVERT_SECONDS = 30.0  # the network may go down before the answer has come

OUT_OF_TIME = (
    "the clock says {:%Y-%m-%d %H:%M} UTC, and by that the bundle's signature is not valid: {} (valid: a clock that is "
    "right, by `sudo timedatectl set-time`; or a signer whose certificate is valid then)"
)
JUDGED = ("passed", "none")  # of the health of a boot: nothing is waited for any more
ASK = (
    'cat "$1" && printf "\\0" && cat "$2" && printf "\\0" && date +%s && printf "\\0" && '
    'exec field-update status --json --wait "$3"'
)

Status = dict[str, Any]


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
class Plan:
    """How: `force` installs the same version again, `dry_run` ends after the checks; seconds until the trial's end.

    `boot_loader`: a board that keeps the version, or has it, gets its SPL and U-Boot as well.
    """

    force: bool = False
    dry_run: bool = False
    boot_loader: bool = False
    deadline_seconds: int = DEADLINE_SECONDS


PLAN = Plan()


@dataclass(frozen=True)
class Survey:
    """What a board says of itself: its release, the keyring that it trusts, its clock's time in seconds since 1970,
    and its `field-update status`.
    """

    release: dict[str, str]
    keyring: str
    time: int
    status: Status


@dataclass(frozen=True)
class Outcome:
    """How it ended: the slot and version that the board runs now, and the reason when the upgrade was undone."""

    action: Literal["committed", "reverted", "unchanged", "checked"]
    slot: str
    version: str
    reason: str = ""


def deploy(
    target: Target,
    offer: Offer,
    accept: Callable[[], None] | None = None,
    plan: Plan = PLAN,
    say: Say = show,
) -> Outcome:
    """Upgrade the board; `accept` raises a FirmwareError to refuse it."""
    outcome = _upgrade(target, offer, accept, plan, say)
    if plan.boot_loader and not plan.dry_run and outcome.action in ("committed", "unchanged"):
        prove_boot_loader(target, say)
    return outcome


def _upgrade(target: Target, offer: Offer, accept: Callable[[], None] | None, plan: Plan, say: Say) -> Outcome:
    check_bundle(offer)
    found = survey(target, offer)
    before = found.status
    if not on_trial(before):
        if outcome := install(target, offer, found, plan, say):
            return outcome
        reboot(target, say)
    elif before["trial"]["version"] != offer.version:
        tried = before["trial"]["version"] or "(unknown)"
        raise TargetError(
            target.name,
            f"slot {before['booted']} is on trial with version {tried}, not {offer.version} "
            f"(valid: wait {before['deadline_left_seconds']} s until it goes back by itself, or: field-update revert)",
        )
    elif plan.dry_run:
        say(f"{target.name}: slot {before['booted']} is on trial with {offer.version}, and would be examined")
        return Outcome("checked", before["booted"], offer.version)
    else:
        say(f"{target.name}: going on with the trial of {offer.version} in slot {before['booted']}")
    return examine(target, offer.version, accept, say)


def check_bundle(offer: Offer) -> None:
    """Raise UserError unless the bundle is there and is what the manifest says."""
    if not offer.bundle.is_file():
        raise UserError(f"no bundle {offer.bundle} (valid: one made by ./inv build)")
    found = _sha256(offer.bundle, offer.bundle.stat().st_mtime_ns)
    if found != offer.sha256:
        raise UserError(f"{offer.bundle}: SHA-256 is {found} (valid: the manifest's, {offer.sha256}; run ./inv build)")


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, _changed: int) -> str:
    """Of the file as it was changed last: a fleet's boards share the reading."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def survey(target: Target, offer: Offer) -> Survey:
    """What the board is, trusts and does; one question, as each costs a slow board a second.

    Raises UserError when the offer is for another board, TargetError.
    """
    target.connect()
    command = ["sh", "-c", ASK, "sh", RELEASE, KEYRING, str(STATUS_SECONDS)]
    texts = target.output(command, sudo=True, timeout=STATUS_SECONDS + 40).split("\0")
    try:
        release, keyring, at, now = json.loads(texts[0]), texts[1], int(texts[2]), json.loads(texts[3])
    except (ValueError, IndexError) as error:
        raise TargetError(target.name, f"says nothing of itself that can be used: {error}") from error
    if (board := release["board"]) != offer.board:
        raise UserError(f"{target.name} is a {board}, the bundle is for {offer.board} (valid: --board={board})")
    return Survey(release, keyring, at, now if now["health"] in JUDGED else verdict(target))


def install(target: Target, offer: Offer, found: Survey, plan: Plan = PLAN, say: Say = show) -> Outcome | None:
    """Install the offer into the other slot, to be tried at the next boot; else how it ended before.

    Raises UserError when the board would not take the bundle, TargetError when it is not ready, or does not take it.
    """
    version, slot = found.release["version"], found.status["booted"]
    if version == offer.version and not plan.force:
        say(f"{target.name} runs {version} already, in slot {slot}")
        return Outcome("unchanged", slot, version)
    content = check_content(offer, found.keyring)
    if content and (wrong := inspection.out_of_time(offer.bundle, found.keyring, found.time)):
        raise transfer.not_ready(target, [OUT_OF_TIME.format(datetime.datetime.fromtimestamp(found.time, UTC), wrong)])
    asks = ["--bytes", str(content.rootfs_bytes), *(["--allow-downgrade"] * content.downgrade)] if content else []
    ready = found.status.get("checks_on_install")  # an older version's `install` does not look itself
    if plan.dry_run or not ready:
        check_ready(target, offer, asks)
    if plan.dry_run:
        say(f"{target.name} runs {version} in slot {slot}, and would take {offer.version}")
        return Outcome("checked", slot, version)
    say(f"{target.name} runs {version} in slot {slot}; {offer.version} goes into the other one")
    asks = ["--ready", *asks] if ready else []
    if found.status.get("knows_pending") and not pending(found.status):
        asks.append(transfer.UNLESS_PENDING)
    transfer.install(target, offer.bundle, offer.version, plan.deadline_seconds, say, asks)
    return None


def check_content(offer: Offer, keyring: str) -> inspection.Content | None:
    """What the bundle holds, None when it is encrypted. Raises UserError: no board that trusts `keyring` takes it."""
    content = inspection.inspect_once(offer.bundle, keyring, offer.sha256)
    if content:
        if content.compatible != (wanted := fit.compatible_name(offer.board)):
            raise UserError(f"{offer.bundle} is for {content.compatible} (valid: {wanted})")
        if content.version != offer.version:
            raise UserError(f"{offer.bundle} holds version {content.version} (valid: the offered one, {offer.version})")
    return content


def check_ready(target: Target, offer: Offer, asks: Sequence[str]) -> None:
    """Raise TargetError when the board is not ready for an upgrade; `asks`: options of `field-update preflight`."""
    command = ["field-update", "preflight", "--json", "--version", offer.version, *asks]
    if refusals := json.loads(target.output(command, sudo=True, timeout=PREFLIGHT_SECONDS))["refusals"]:
        raise transfer.not_ready(target, refusals)


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
            if now["health"] in JUDGED:
                return now
        except (Unreachable, Late) as error:
            lost = error
            target.close()
        time.sleep(RETRY_SECONDS)  # paces the attempts; the evidence is the status
    if now is None:
        raise lost or Unreachable(target.name, "does not say how it is")
    return now


def reboot(target: Target, say: Say = show) -> None:
    """Reboot the board and wait until it answers in the new boot."""
    old, started = target.boot_id(), time.monotonic()
    say("rebooting")
    target.reboot()
    target.wait_for_reboot(old)
    say(f"answers again after {time.monotonic() - started:.0f} s")


def commit(target: Target) -> None:
    """Keep the slot that is on trial. Raises TargetError."""
    target.output(["field-update", "commit"], sudo=True, timeout=COMMIT_SECONDS)


def replace_boot_loader(target: Target, say: Say = show) -> bool:
    """Make SPL and U-Boot those that the committed slot carries; whether they were others.

    Raises TargetError: they do not fit the board.
    """
    say(f"{target.name}: the boot loader is replaced, if it is another one")
    said = target.output(["field-update", "boot-loader"], sudo=True, timeout=LOADER_SECONDS).splitlines()
    for line in said:
        say(f"  {line}")
    return LOADER_THERE not in said


def prove_boot_loader(target: Target, say: Say = show) -> None:
    """As `replace_boot_loader`; new ones must boot the board before they count. Raises TargetError: they do not."""
    if not replace_boot_loader(target, say):
        return
    try:
        reboot(target, say)
        wrong = verdict(target).get("environment", {}).get("wrong", [])
    except Unreachable as error:
        said = f"{error.said} with its new boot loader (valid: look at its serial console; a card made anew boots)"
        raise TargetError(target.name, said) from error
    if wrong:
        raise TargetError(target.name, f"boots with its new boot loader, but {'; '.join(wrong)}")
    say(f"{target.name}: its new boot loader has booted it")


def revert(target: Target, reason: str, say: Say = show) -> Status:
    """Make the board go back to the other slot, wait for that, and return its status then."""
    old = target.boot_id()
    try:
        target.output(["field-update", "revert", "--reason", reason], sudo=True, timeout=REVERT_SECONDS)
    except (Unreachable, Late):
        say("the connection went while it was reverting")
    target.wait_for_reboot(old)
    return verdict(target)


def examine(target: Target, version: str, accept: Callable[[], None] | None, say: Say) -> Outcome:
    """Wait for the board's verdict on the slot on trial and for the acceptance; then commit it, or go back."""
    now = verdict(target)
    if not on_trial(now):
        return undone(target, now, say)
    reason, found = "", json.loads(target.get(RELEASE))
    if now["health"] != "passed":
        reason = f"no verdict on its health after {EXAMINE_SECONDS} s ({now['health']})"
    elif found["version"] != version:
        reason = f"it runs {found['version']}, not {version}"
    if not reason and accept is not None:
        say(f"slot {now['booted']} is healthy; acceptance begins, {now['deadline_left_seconds']} s are left")
        try:
            accept()
        except FirmwareError as error:
            reason = f"acceptance: {error}"
    if reason:
        say(f"refused, going back: {reason}")
        return undone(target, revert(target, reason, say), say)
    commit(target)
    say(f"{target.name}: slot {now['booted']} is committed, version {version}")
    return Outcome("committed", now["booted"], version)


def undone(target: Target, now: Status, say: Say) -> Outcome:
    """How an upgrade ended that the board has left: with its own reason."""
    last = now["last"] or {}
    reason = last.get("reason") or "the board does not say why"
    release = json.loads(target.get(RELEASE))
    say(f"{target.name}: back in slot {now['booted']}, version {release['version']}: {reason}")
    show_log(target, say)
    return Outcome("reverted", now["booted"], release["version"], reason)


def show_log(target: Target, say: Say) -> None:
    """Fetch what the boot that was reverted has said, if the board has kept it; show its end."""
    kept = target.run(["cat", "--", REVERTED_LOG], sudo=True)
    if kept.status or not kept.stdout:
        return  # it never came up, so it has said nothing; or an older version keeps none
    path = paths.BUILD / "reports" / f"reverted-{re.sub('[^A-Za-z0-9.-]+', '-', target.name).strip('-')}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(kept.stdout, encoding="utf-8")
    say(f"the end of its log, all of which is in {path}:")
    say("\n".join(f"    {line}" for line in kept.stdout.splitlines()[-LOG_LINES:]))


def pending(now: Status) -> bool:
    """Whether something has been installed that the next boot tries."""
    return now["trial"] is not None and not on_trial(now) and now["trial"].get("phase") == "installed"


def on_trial(now: Status) -> bool:
    """Whether the booted slot is on trial."""
    return now["trial"] is not None and now["trial"]["slot"] == now["booted"]
