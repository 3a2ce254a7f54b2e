# SPDX-License-Identifier: MIT
"""Where the power-cut campaign is played: emulated boards, the versions that they run, and the look at a board.

A `Rig` is one emulated board with a card of its own in a folder. A `Stand` has several: `live`, which is upgraded, and
`rigs`, which get cards as power cuts have left them (`firmware/campaign_pool.py`). A board is looked at from outside,
by SSH and in the card's file, but for the boot's own verdict.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from firmware import bundle, deploy, engine, layout, manifest, payload, reach, rollout, tool
from firmware import uboot_image as legacy
from firmware.campaign import Seen
from firmware.choice import Choice
from firmware.deploy import Offer
from firmware.emulator import Emulator
from firmware.errors import FirmwareError, TargetError, UserError
from firmware.faults import Card
from firmware.file_system import FileSystem
from firmware.fit import RELEASE
from firmware.known_hosts import KnownHosts
from firmware.reach import Reach
from firmware.ssh import CONNECT_SECONDS, REBOOT_SECONDS, Target
from firmware.tree import Tree

SENTINEL, LATEST = "/data/campaign", "/data/campaign-latest"  # written once; written anew before each upgrade
IDENTITY = [f"/data/identity/{name}" for name in ("identity.env", "ssh/ssh_host_ed25519_key", "ssh/authorized_keys")]
# what is kept, whole, and that no file system has met an error
LOOK = f"sha256sum {SENTINEL} {LATEST} {' '.join(IDENTITY)} && cat /sys/fs/ext4/*/errors_count"
SENTINEL_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
NOTHING: Mapping[str, str] = MappingProxyType({})
NAMES = ("one", "two")
SIGNALLED = "terminating on signal"  # QEMU's last words then; its exit status is 0


@dataclass(frozen=True)
class Version:
    """One that a board may run: its offer, and size and SHA-256 of what its slot begins with."""

    offer: Offer
    size: int
    sha256: str


class PowerGone(FirmwareError):
    """The board is off: nothing is to be waited for."""


class Cuttable(Target):
    """A target that knows when its board is off, and then does not wait for it to come back."""

    machine: Emulator

    def connect(self, timeout: float = CONNECT_SECONDS) -> None:
        """As ever; raises PowerGone when the board is off."""
        if is_off(self.machine):
            raise PowerGone("the power was cut")
        super().connect(timeout)


def is_off(machine: Emulator) -> bool:
    """Whether QEMU has ended."""
    try:
        machine.wait_off(0.0)
    except TargetError:
        return False
    return True


def copy(card: Path, to: Path) -> None:
    """Copy a card, whose board is off, with its holes. Raises ToolError."""
    tool.run(["cp", "--reflink=auto", "--sparse=always", "--", card, to])


def slot_sha256(card: Path, slot: str, size: int) -> str:
    """SHA-256 of the first `size` bytes of a slot, in the card's file."""
    digest, left = hashlib.sha256(), size
    with card.open("rb") as stream:
        stream.seek(layout.SLOTS[slot].offset)
        while left:
            data = stream.read(min(CHUNK_BYTES, left))
            digest.update(data)
            left -= len(data)
    return digest.hexdigest()


class Rig:
    """One emulated board, with its card; it is off."""

    def __init__(self, choice: Choice, folder: Path, known: KnownHosts) -> None:
        """Card, console and log are in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.choice, self.folder, self.known, self.card = choice, folder, known, folder / "card.img"
        self.machine: Emulator | None = None
        self._retired = False

    def on(self, options: Mapping[str, str] = NOTHING, seconds: float = REBOOT_SECONDS) -> Reach:
        """The board, on, with its boot judged; one that is on already is asked again. `options`: as of `Emulator`.

        Raises TargetError: it does not answer within `seconds`, or does not say how it is. PowerGone: it is retired.
        """
        machine = self.start(options)
        target = Cuttable(reach.LOOPBACK, machine.ssh_port, known=self.known)
        target.machine = machine
        found = Reach(target, (reach.LOOPBACK, machine.stream_port), machine.console_log)
        target.wait_for_reboot("", seconds)
        deploy.verdict(target)
        return found

    def start(self, options: Mapping[str, str] = NOTHING) -> Emulator:
        """Put the plug in, if it is not. Raises UserError, ToolError, TargetError: QEMU cannot; PowerGone: retired."""
        if not self._retired and (self.machine is None or is_off(self.machine)):
            self.machine = Emulator(self.choice.board, self.card, self.folder, **options)
            self.machine.start()
        if self._retired or self.machine is None:  # while it was switched on, too
            self.off()
            raise PowerGone("the campaign was stopped")
        return self.machine

    def killed(self) -> bool:
        """Whether QEMU has ended in a way that a board cannot: it is retired, or was killed, or has failed."""
        if self._retired or self.machine is None:
            return self._retired
        if SIGNALLED in tool.tail(self.machine.log):
            return True  # and it is still at clearing up, maybe
        return is_off(self.machine) and self.machine.wait_off(0.0) != 0

    def retire(self) -> None:
        """It is not to be on any more."""
        self._retired = True

    def off(self) -> None:
        """Pull the plug, if it is in."""
        if self.machine is not None:
            self.machine.stop()

    @property
    def faults(self) -> Card:
        """The card's faults. Raises TargetError: it was never on."""
        if self.machine is None:
            raise TargetError("emulated board", "is off")
        return Card(self.machine)

    def examine(self, found: Reach, seen: Seen, versions: list[Version], kept: str) -> Seen:
        """What can be seen of the board after a cut, before the upgrade is begun again; `kept`: as `look` gave it."""
        running = str(json.loads(found.target.get(RELEASE))["version"])
        version = next((each for each in versions if each.offer.version == running), None)
        slot = deploy.status(found.target)["booted"]
        data_whole = look(found) == kept
        try:
            rollout.accept(found)
            captured = True
        except TargetError:
            captured = False
        # the slot runs read-only, so its file system is what was installed, for ever
        slot_whole = version is not None and slot_sha256(self.card, slot, version.size) == version.sha256
        return replace(seen, version=running, slot_whole=slot_whole, data_whole=data_whole, captured=captured)


def look(found: Reach) -> str:
    """What must stay as it is: sums of files on the data partition, errors that file systems have met."""
    return found.target.output(["sh", "-c", LOOK], sudo=True)


def keep(found: Reach, number: int) -> str:
    """Write what must be on the data partition behind the cut; how it looks now."""
    found.target.put(f"{number}\n".encode(), LATEST, sudo=True)
    found.target.output(["sync"], sudo=True)
    return look(found)


class Stand:
    """The campaign's boards, and the versions: what was built, and two made of it; no board has a card yet.

    All boards are one to the outside: its host key is pinned in `record`, the folder of `firmware/campaign_record.py`.
    """

    def __init__(self, choice: Choice, folder: Path, at_once: int = 1) -> None:
        """Make bundles in `folder`, which is emptied but for the record; `at_once`: the number of `rigs`."""
        self.choice, self.folder, self.record = choice, folder, folder / "record"
        self.record.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path != self.record:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.known = KnownHosts(self.record / "known_hosts")
        self.live = Rig(choice, folder / "live", self.known)
        self.rigs = [Rig(choice, folder / f"rig-{number}", self.known) for number in range(1, at_once + 1)]
        self.built = manifest.load_built(choice.board.name, choice.engine)
        self.versions = [self._version(name) for name in NAMES]
        self.live_seconds = 0.0  # that the live board's last whole upgrade has taken; 0: it has made none
        self.sentinel = hashlib.shake_128(b"campaign").digest(SENTINEL_BYTES)

    def off(self) -> None:
        """All boards are off."""
        for rig in (self.live, *self.rigs):
            rig.off()

    def retire(self) -> None:
        """All boards are off, for good."""
        for rig in (self.live, *self.rigs):
            rig.retire()
        self.off()

    def version_built(self, card: Path) -> Version:
        """What was built: the whole slot A of a card that was never upgraded."""
        return Version(Offer.of(self.built), layout.SLOT_BYTES, slot_sha256(card, "A", layout.SLOT_BYTES))

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
