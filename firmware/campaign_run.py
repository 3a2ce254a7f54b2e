# SPDX-License-Identifier: MIT
"""`./inv test --power-cuts N --seed S`: the power-cut campaign on an emulated board (values in `firmware/campaign.py`).

An upgrade is recorded first (`firmware/campaign_record.py`). A recorded cut: a board is switched on with the card that
the cut would have left, looked at, and upgraded. A cut at an instant: the upgrade of the live board, which goes to and
fro between two versions, is begun and cut; the board is switched on again, looked at, and upgraded. Cuts know nothing
of each other but for the live board, so as many as this computer has processors are made at a time. Each cut's result
goes to `build/reports/power-cuts-<seed>.json` at once (`firmware/campaign_log.py`): the same command again goes on with
the cuts that are left, with the same record. A violation ends the run, and what shows it stays in
`build/<board>/power-cuts/seed-<seed>-cut-<number>/`: the card of the cut (`cut.img`), what became of it (`card.img`),
and the board's console. Trouble of this computer is no violation, and its cut is made again. Figures go to
`build/reports/bench.json`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from firmware import (
    bench,
    campaign,
    campaign_pool,
    campaign_record,
    campaign_stand,
    deploy,
    emulator_build,
    manifest,
    paths,
)
from firmware.bench_cost import Figure
from firmware.campaign import Cut, Seen
from firmware.campaign_log import Log
from firmware.campaign_record import Record, upgrade
from firmware.campaign_stand import Rig, Stand, Version
from firmware.choice import Choice
from firmware.errors import FirmwareError, TargetError, UserError
from firmware.faults import Card
from firmware.layout import KIB, MIB
from firmware.reach import Reach

OFF_SECONDS = 1800.0
BOARDS_MAX = 4  # at a time
BOARD_BYTES = 1536 * MIB  # of memory: the board's 1 GiB, and QEMU's own
MEMORY = Path("/proc/meminfo")
ASK = deploy.Plan(dry_run=True)


def cut_recorded(rig: Rig, one: Cut, record: Record) -> Seen:
    """Switch the rig's board on with the card that the cut leaves, look at it, and begin the upgrade again."""
    old, new = record.versions
    seen = Seen(one, record.phase(one), allowed=(old.offer.version, new.offer.version))
    record.restore(one, rig.card)
    rig.start()
    try:
        found = rig.on()
        seen = rig.examine(found, seen, [old, new], record.kept)
        return again(found, seen, new)
    except FirmwareError as error:
        return _troubled(rig, seen, error)
    finally:
        rig.off()


def cut_live(stand: Stand, one: Cut, record: Record) -> Seen:
    """Begin an upgrade of the live board, cut it at an instant, look at the board, and begin it again."""
    said: list[str] = []
    old, new = stand.versions  # the one that it runs is the first
    seen = Seen(one, campaign.INSTALL, allowed=(old.offer.version, new.offer.version))
    stand.live.start()
    try:
        return _cut_live(stand, seen, record, said)
    except FirmwareError as error:
        return _troubled(stand.live, replace(seen, phase=campaign.phase(said)), error)
    finally:
        stand.live.off()


def _cut_live(stand: Stand, seen: Seen, record: Record, said: list[str]) -> Seen:
    one, (old, new) = seen.cut, stand.versions
    found, card = stand.live.on(), stand.live.faults
    kept = campaign_stand.keep(found, one.number)
    timer = threading.Timer(one.share * (stand.live_seconds or record.seconds), _cut_now, [card])
    timer.start()
    try:
        with contextlib.suppress(FirmwareError):  # it is cut off: what counts is what is seen then
            upgrade(found, new.offer, said.append)
            deploy.replace_boot_loader(found.target, said.append)
    finally:
        timer.cancel()
    seen = replace(seen, phase=campaign.phase(said))
    _cut_now(card)  # an upgrade that takes less time than the first one is cut at its end
    if stand.live.machine is not None:
        stand.live.machine.wait_off(OFF_SECONDS)
    found = stand.live.on()
    seen = stand.live.examine(found, seen, [old, new], kept)
    started = time.monotonic()
    seen = again(found, seen, new)
    if seen.version == old.offer.version:  # a whole one, among as many other boards as the next one's
        stand.live_seconds = time.monotonic() - started
    stand.versions.reverse()
    return seen


def _troubled(rig: Rig, seen: Seen, error: FirmwareError) -> Seen:
    """What was seen, with what kept somebody from looking. Raises TargetError: that was this computer."""
    if rig.killed():
        raise TargetError("emulated board", f"QEMU has ended, and not by a power cut: {rig.folder}/qemu.log") from error
    return replace(seen, trouble=str(error))


def again(found: Reach, seen: Seen, new: Version) -> Seen:
    """Begin the upgrade again: as a whole, or ask whether it would begin (`firmware/campaign.py` says when)."""
    if not seen.cut.whole and seen.version != new.offer.version:
        outcome = deploy.deploy(found.target, new.offer, plan=ASK, say=_quiet)
        return replace(seen, upgraded=outcome.action == "checked", whole=False)
    seen = replace(seen, upgraded=upgrade(found, new.offer, _quiet))
    deploy.replace_boot_loader(found.target, _quiet)
    return seen


def at_once() -> int:
    """How many cuts are made at a time here: processors and free memory say."""
    return max(1, min(len(os.sched_getaffinity(0)), BOARDS_MAX, available() // BOARD_BYTES))


def available() -> int:
    """Bytes of memory that programs may still take (proc_meminfo(5), MemAvailable)."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", MEMORY.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * KIB if found else 0


def _quiet(_text: str) -> None:
    return


def _cut_now(card: Card) -> None:
    try:
        card.cut_power()
    except TargetError:
        return  # it is off already


def run(choice: Choice, count: int, seed: int, folder: Path | None = None) -> list[Seen]:
    """The campaign's first `count` cuts; those that are in its log already are not made again.

    Raises TargetError when something does not hold, UserError for a board that is real.
    """
    if choice.host:
        raise UserError("--power-cuts: only the emulated board's power can be cut (valid: without --host)")
    cuts = campaign.plan(count, seed)
    image = manifest.load_built(choice.board.name, choice.engine).files["image"].sha256
    place = (folder or paths.BUILD / choice.board.name / "power-cuts") / f"seed-{seed}"
    with alone(place):
        log = Log(bench.REPORT.with_name(f"power-cuts-{seed}.json"), seed, image)
        done = {seen.cut for seen in log.of(cuts)}
        if left := [one for one in cuts if one not in done]:
            if done:
                print(f"{len(done)} cuts are done already ({log.path}): it goes on with {left[0]}", flush=True)
            _go_on(choice, left, log, place)
    found = log.of(cuts)
    print(campaign.report(found))
    if wrong := [line for seen in found for line in campaign.violations(seen)]:
        raise TargetError("emulated board", f"{len(wrong)} violations; cards and consoles: {place}-cut-*")
    return found


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """No other campaign in `place`. Raises UserError: there is one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"a campaign is under way in {place} (valid: another --seed, or when it has ended)"
            ) from error
        yield


def _go_on(choice: Choice, cuts: list[Cut], log: Log, place: Path) -> None:
    """Make `cuts` on new cards in `place`, until one of them shows a violation."""
    stand = Stand(choice, place, at_once())
    try:
        record = campaign_record.of(stand)
        told = "".join(f", {name} {sectors}" for name, sectors in record.sectors().items())
        print(f"an upgrade takes {record.seconds:.0f} s; sectors written: {record.end}{told}", flush=True)
        print(f"{len(cuts)} cuts to make, {len(stand.rigs)} at a time", flush=True)
        emulator_build.build()  # not by several of them at a time
        with contextlib.closing(campaign_pool.run(stand, cuts, _cut(stand, record, place))) as ended:
            for seen, rig, seconds in ended:
                log.add(seen)
                tell(log.found)
                came = f"{rig} came back with {seen.version or 'nothing'}"
                print(f"{seen.cut}: {seen.phase}; {came}, {seconds:.0f} s; {len(log.found)} are done", flush=True)
    finally:
        stand.off()


def _cut(stand: Stand, record: Record, place: Path) -> Callable[[Rig, Cut], Seen]:
    """What makes a cut, and keeps what shows a violation: the rig's folder, with the card that was cut."""

    def cut(rig: Rig, one: Cut) -> Seen:
        seen = cut_live(stand, one, record) if rig is stand.live else cut_recorded(rig, one, record)
        if campaign.violations(seen):
            kept = place.with_name(f"{place.name}-cut-{one.number}")
            shutil.rmtree(kept, ignore_errors=True)
            rig.folder.rename(kept)
            if rig is not stand.live:
                try:
                    record.restore(one, kept / "cut.img")
                except (FirmwareError, OSError) as error:  # a full disk: what was seen counts all the same
                    print(f"{kept}/cut.img: {error}", flush=True)
        return seen

    return cut


def tell(found: list[Seen]) -> None:
    """Put the figures into the report of `./inv bench`."""
    wrong = sum(bool(campaign.violations(seen)) for seen in found)
    bench.record("power_cuts", len(found), Figure("cuts", "upgrades cut at a random moment"), quiet=True)
    bench.record("power_cut_violations", wrong, Figure("cuts", "after which something did not hold"), quiet=True)
