# SPDX-License-Identifier: MIT
"""`./inv test --power-cuts N --seed S`: the power-cut campaign on an emulated board (values in `firmware/campaign.py`).

The board goes to and fro between two versions. Each round: an upgrade is begun and cut; the board is switched on again
and looked at; the upgrade is begun again and must be committed. Each cut's result goes to
`build/reports/power-cuts-<seed>.json` at once (`firmware/campaign_log.py`): the same command again goes on with the
next cut, on a new card. A violation ends the run, and its card and console stay in
`build/<board>/power-cuts/seed-<seed>-cut-<number>/`; figures go to `build/reports/bench.json`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from firmware import bench, bundle, campaign, deploy, engine, layout, manifest, paths, payload, reach, rollout, tool
from firmware import uboot_image as legacy
from firmware.bench_cost import Figure
from firmware.campaign import Cut, Seen
from firmware.campaign_log import Log
from firmware.choice import Choice
from firmware.deploy import Offer
from firmware.emulator import Emulator
from firmware.errors import FirmwareError, TargetError, UserError
from firmware.faults import Card
from firmware.file_system import FileSystem
from firmware.fit import RELEASE
from firmware.known_hosts import KnownHosts
from firmware.reach import Reach
from firmware.ssh import CONNECT_SECONDS, Target
from firmware.transfer import Say
from firmware.tree import Tree

SENTINEL, LATEST = "/data/campaign", "/data/campaign-latest"  # written once; written anew before each cut
IDENTITY = [f"/data/identity/{name}" for name in ("identity.env", "ssh/ssh_host_ed25519_key", "ssh/authorized_keys")]
# what is kept, whole, and that no file system has met an error
LOOK = f"sha256sum {SENTINEL} {LATEST} {' '.join(IDENTITY)} && cat /sys/fs/ext4/*/errors_count"
SENTINEL_BYTES = 1 << 20
OFF_SECONDS = 1800.0
CHUNK_BYTES = 1 << 20
NAMES = ("one", "two")


@dataclass(frozen=True)
class Version:
    """One of the two: its offer, and size and SHA-256 of its slot's file system."""

    offer: Offer
    size: int
    sha256: str


@dataclass(frozen=True)
class Measure:
    """What an upgrade takes that nobody cuts: sectors written, seconds, a new boot loader's sectors, each step's."""

    writes: int
    seconds: float
    loader_writes: int
    steps: dict[str, int] = field(default_factory=dict)


class PowerCut(FirmwareError):
    """The board is off: nothing is to be waited for."""


class Cuttable(Target):
    """A target that knows when its board is off, and then does not wait for it to come back."""

    machine: Emulator

    def connect(self, timeout: float = CONNECT_SECONDS) -> None:
        """As ever; raises PowerCut when the board is off."""
        if is_off(self.machine):
            raise PowerCut("the power was cut")
        super().connect(timeout)


def is_off(machine: Emulator) -> bool:
    """Whether QEMU has ended."""
    try:
        machine.wait_off(0.0)
    except TargetError:
        return False
    return True


class Stand:
    """The emulated board of a campaign: its card, its two versions, and what is on its data partition."""

    def __init__(self, choice: Choice, folder: Path) -> None:
        """Make card and bundles in `folder`, which is emptied."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.choice, self.folder, self.card = choice, folder, folder / "card.img"
        self.known = KnownHosts(folder / "known_hosts")
        built = manifest.load_built(choice.board.name, choice.engine)
        reach.make_card(built, self.card, self.known)
        self.versions = [self._version(name) for name in NAMES]
        self.machine: Emulator | None = None
        self.sentinel = hashlib.shake_128(b"campaign").digest(SENTINEL_BYTES)
        self.kept = ""

    def _version(self, name: str) -> Version:
        inputs = engine.bundle_inputs(self.choice.board)
        version = f"{inputs.version.partition('+')[0]}+{name}"
        edits = Tree(inputs.epoch)
        edits.file("/usr/share/cyclone-capture/campaign", f"{name}\n" * 4096)
        edits.file(f"{payload.LOADER}/u-boot.img", self._loader(inputs.rootfs, name))
        made = bundle.variant(inputs, self.folder / name, edits, version)
        content = self.folder / f"{name}.content"
        tool.capture([tool.need("rauc", "rauc"), "extract", f"--keyring={inputs.signer.authority}", made, content])
        rootfs = content / "rootfs.ext4"
        with rootfs.open("rb") as slot, made.open("rb") as whole:
            digests = [hashlib.file_digest(stream, "sha256").hexdigest() for stream in (slot, whole)]
        found = Version(Offer(self.choice.board.name, version, made, digests[1]), rootfs.stat().st_size, digests[0])
        shutil.rmtree(content)
        return found

    def _loader(self, rootfs: Path, name: str) -> bytes:
        """U-Boot of that version: the same but for its header, which holds a time and a CRC of its own."""
        path = f"{payload.LOADER}/u-boot.img"
        found = FileSystem(rootfs, 0).extract([path])
        if path not in found:
            raise UserError(f"the built slot has no {path} (valid: one that this version's ./inv build made)")
        image = bytearray(found[path])
        image[8:12] = NAMES.index(name).to_bytes(4, "big")
        image[4:8] = bytes(4)
        image[4:8] = zlib.crc32(image[: legacy.HEADER.size]).to_bytes(4, "big")
        return bytes(image)

    def on(self) -> Reach:
        """The board, on, with its boot judged; a board that is on already is asked again."""
        if self.machine is None or is_off(self.machine):
            self.machine = Emulator(self.choice.board, self.card, self.folder)
            self.machine.start()
        target = Cuttable(reach.LOOPBACK, self.machine.ssh_port, known=self.known)
        target.machine = self.machine
        found = Reach(target, (reach.LOOPBACK, self.machine.stream_port), self.machine.console_log)
        target.wait_for_reboot("")
        deploy.verdict(target)
        return found

    def off(self) -> None:
        """Pull the plug, if it is in."""
        if self.machine is not None:
            self.machine.stop()

    @property
    def faults(self) -> Card:
        """The card's faults."""
        if self.machine is None:
            raise TargetError("emulated board", "is off")
        return Card(self.machine)

    def slot_whole(self, slot: str, version: Version) -> bool:
        """Whether the card holds in `slot`, which runs read-only, what was installed."""
        digest, left = hashlib.sha256(), version.size
        with self.card.open("rb") as stream:
            stream.seek(layout.SLOTS[slot].offset)
            while left:
                data = stream.read(min(CHUNK_BYTES, left))
                digest.update(data)
                left -= len(data)
        return digest.hexdigest() == version.sha256

    def keep(self, found: Reach, number: int) -> None:
        """Write what must be on the data partition behind the cut, and remember how it looks now."""
        found.target.put(f"{number}\n".encode(), LATEST, sudo=True)
        found.target.output(["sync"], sudo=True)
        self.kept = self._look(found)

    def _look(self, found: Reach) -> str:
        return found.target.output(["sh", "-c", LOOK], sudo=True)

    def examine(self, found: Reach, seen: Seen) -> Seen:
        """What can be seen of the board after a cut, but for the upgrade that is begun again."""
        running = str(json.loads(found.target.get(RELEASE))["version"])
        version = next((each for each in self.versions if each.offer.version == running), None)
        slot = deploy.status(found.target)["booted"]
        data_whole = self._look(found) == self.kept
        try:
            rollout.accept(found)
            captured = True
        except TargetError:
            captured = False
        return replace(
            seen,
            version=running,
            slot_whole=version is not None and self.slot_whole(slot, version),
            data_whole=data_whole,
            captured=captured,
        )


def upgrade(found: Reach, offer: Offer, say: Say) -> bool:
    """One whole upgrade with acceptance; whether the board runs it, committed."""
    outcome = deploy.deploy(found.target, offer, lambda: rollout.accept(found), say=say)
    return outcome.action in ("committed", "unchanged") and outcome.version == offer.version


def watched(said: list[str], begins: Callable[[str], None]) -> Say:
    """What keeps all that `deploy` says, and tells which phase begins."""
    lock = threading.Lock()  # lines may come from two threads

    def say(text: str) -> None:
        with lock:
            before = campaign.phase(said)
            said.append(text)
            now = campaign.phase(said)
        if now != before:
            begins(now)

    return say


def prepare(stand: Stand, first: Version) -> Measure:
    """Bring the version `first` and its boot loader onto the board, uncut, and the data that must last."""
    found, said = stand.on(), list[str]()
    found.target.put(stand.sentinel, SENTINEL, sudo=True)
    found.target.output(["sync"], sudo=True)
    before, started, begun = stand.faults.writes, time.monotonic(), dict[str, int]()
    if not upgrade(found, first.offer, watched(said, lambda phase: begun.update({phase: stand.faults.writes}))):
        raise TargetError(found.target.name, "an upgrade that nobody cuts does not succeed:\n" + "\n".join(said))
    between, seconds = stand.faults.writes, time.monotonic() - started
    ends = [*list(begun.values())[1:], between]
    steps = {step: end - at for (step, at), end in zip(begun.items(), ends, strict=True)}
    deploy.replace_boot_loader(found.target, said.append)
    return Measure(between - before, seconds, stand.faults.writes - between, steps)


def cut(stand: Stand, one: Cut, measure: Measure, old: Version, new: Version) -> Seen:
    """Begin the upgrade from `old` to `new`, cut it, look at the board, and begin it again."""
    said: list[str] = []
    found, card = stand.on(), stand.faults
    stand.keep(found, one.number)
    if one.kind == "write":
        card.cut_power_after(max(1, round(one.share * measure.writes)), one.torn)
    timer = threading.Timer(one.share * measure.seconds, _cut_now, [card])
    if one.kind == "instant":
        timer.start()

    def begins(phase: str) -> None:
        if phase == one.step:
            card.cut_power_after(max(1, round(one.share * measure.steps.get(phase, 0))), one.torn)

    with contextlib.suppress(FirmwareError):  # it is cut off: what counts is what is seen then
        upgrade(found, new.offer, watched(said, begins))
        if one.kind == "loader":
            card.cut_power_after(max(1, round(one.share * measure.loader_writes)), one.torn)
        deploy.replace_boot_loader(found.target, said.append)
    timer.cancel()
    seen = Seen(one, campaign.phase(said), allowed=(old.offer.version, new.offer.version))
    _cut_now(card)  # an upgrade that wrote less than the first one is cut at its end
    if stand.machine is not None:
        stand.machine.wait_off(OFF_SECONDS)
    try:
        found = stand.on()
        seen = stand.examine(found, seen)
        seen = replace(seen, upgraded=upgrade(found, new.offer, said.append))
        deploy.replace_boot_loader(found.target, said.append)
        return seen
    except FirmwareError as error:
        return replace(seen, trouble=str(error))


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
    log = Log(bench.REPORT.with_name(f"power-cuts-{seed}.json"), seed, image)
    place = (folder or paths.BUILD / choice.board.name / "power-cuts") / f"seed-{seed}"
    if left := cuts[len(log.found) :]:
        if log.found:
            print(f"{len(log.found)} cuts are done already ({log.path}): it goes on with {left[0]}", flush=True)
        _go_on(choice, left, log, place)
    print(campaign.report(log.found[:count]))
    if wrong := [line for seen in log.found[:count] for line in campaign.violations(seen)]:
        raise TargetError("emulated board", f"{len(wrong)} violations; cards and consoles: {place}-cut-*")
    return log.found[:count]


def _go_on(choice: Choice, cuts: list[Cut], log: Log, place: Path) -> None:
    """Make `cuts` on a new card in `place`, until one of them shows a violation."""
    made = Stand(choice, place)
    try:
        measure = prepare(made, made.versions[(cuts[0].number - 1) % 2])
        print(f"an upgrade writes {measure.writes} sectors in {measure.seconds:.0f} s, ", end="")
        told = "".join(f", {step} {sectors}" for step, sectors in measure.steps.items())
        print(f"a boot loader {measure.loader_writes}{told}", flush=True)
        for one in cuts:
            old, new = made.versions[(one.number - 1) % 2], made.versions[one.number % 2]
            started = time.monotonic()
            seen = cut(made, one, measure, old, new)
            log.add(seen)
            record(log.found)
            came, seconds = seen.version or "nothing", time.monotonic() - started
            print(f"{one}: {seen.phase}; came back with {came}, {seconds:.0f} s", flush=True)
            if campaign.violations(seen):
                made.off()
                kept = place.with_name(f"{place.name}-cut-{one.number}")
                shutil.rmtree(kept, ignore_errors=True)
                place.rename(kept)
                break
    finally:
        made.off()


def record(found: list[Seen]) -> None:
    """Put the figures into the report of `./inv bench`."""
    wrong = sum(bool(campaign.violations(seen)) for seen in found)
    bench.record("power_cuts", len(found), Figure("cuts", "upgrades cut at a random moment"), quiet=True)
    bench.record("power_cut_violations", wrong, Figure("cuts", "after which something did not hold"), quiet=True)
