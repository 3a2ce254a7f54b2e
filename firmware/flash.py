# SPDX-License-Identifier: MIT
"""Flash: write an image to a card, verify it by reading the card, and give the card its identity.

Every check comes before the first write, over what lsblk(8) says: the device must be a whole, writable, removable disk
that is large enough and of which nothing is in use: no mounted partition, no swap, no LVM, RAID or encryption on it. A
file is taken as well (`file=True`; for tests). Then the user types the device's name, unless `yes`.

It is run by the user, not by `sudo`: the card lets in the user's key, and its host key is pinned for the user. The
device is lent for that: `sudo chown $USER /dev/sdX`, which holds until the card is pulled.

What is written is the image's data and nothing else (bmaptool, which checks the image against the hashes in the bmap);
what is verified is what the card gives back once the kernel's cache of it is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware import card, tool, verification
from firmware.card import Origin
from firmware.errors import ToolError, UserError
from firmware.identity import Identity, fingerprint
from firmware.manifest import Manifest

Device = dict[str, Any]  # one of lsblk's block devices; `children` are the same

CHUNK_BYTES = 1 << 20
IN_USE = {"LVM2_member", "linux_raid_member", "crypto_LUKS", "zfs_member", "bcache", "ceph_bluestore"}
STACKED = {"lvm", "crypt", "dm", "mpath", "raid0", "raid1", "raid5", "raid6", "raid10", "md"}
_BLOCK_SIZE = re.compile(r"<BlockSize>\s*(\d+)\s*</BlockSize>")
_RANGE = re.compile(r'<Range chksum="([0-9a-f]{64})">\s*(\d+)(?:-(\d+))?\s*</Range>')


@dataclass(frozen=True)
class Source:
    """What is written: the `image`, its `bmap`, and what it is made from."""

    image: Path
    bmap: Path
    origin: Origin

    @classmethod
    def of(cls, manifest: Manifest) -> Source:
        """The image that was built."""
        return cls(manifest.path("image"), manifest.path("bmap"), Origin.of(manifest))


def flash(device: str, manifest: Manifest, yes: bool = False, fixed: bool = False) -> Identity:
    """Make `device` a card of the built image, which is verified first, and say which board's it is then."""
    if os.geteuid() == 0 and os.environ.get("SUDO_USER", "root") != "root":
        raise UserError(
            f"sudo: the card would let in root's key, not yours (valid: as yourself, after {_lend(device)})"
        )
    verification.require(manifest.path("image"), verification.built_config(manifest))
    made = write(device, Source.of(manifest), yes=yes, fixed=fixed)
    print(f"{device} is the card of {made.hostname}; host key {fingerprint(made.host_key.public)} is pinned")
    return made


def write(
    device: str,
    source: Source,
    yes: bool = False,
    fixed: bool = False,
    file: bool = False,
    ask: Callable[[str], str] = input,
) -> Identity:
    """Make `device` a card of `source`; `fixed` allows a disk that is not removable, `file` allows a plain file.

    Raises UserError before the first write, ToolError when writing or verifying fails.
    """
    check_source(source)
    path = Path(device).resolve()
    shown = f"file {path}" if file else _check_device(path, source.image.stat().st_size, fixed)
    if file and not path.is_file():
        raise UserError(f"{device}: no file (valid: a file that is there)")
    if not os.access(path, os.W_OK):
        raise UserError(f"{device} cannot be written by you (valid: {_lend(device)}, then again)")
    made = f"It becomes a card of {source.origin.board}, version {source.origin.version}."
    if not yes and ask(f"Everything on {shown} will be lost. {made} Type {path} to go on: ").strip() != str(path):
        raise UserError(f"{device}: not confirmed, nothing was written")
    bmaptool = tool.need("bmaptool", "bmap-tools")
    with tool.step(f"write {path}"):
        tool.run([bmaptool, "copy", "--bmap", source.bmap, source.image, path])
    with tool.step(f"verify {path}"):
        verify(path, source.bmap.read_text(encoding="utf-8"))
    return card.provision(path, source.origin)


def check_source(source: Source) -> None:
    """Raise UserError unless the image and its bmap are there and the image is what the manifest says."""
    for path in (source.image, source.bmap):
        if not path.is_file():
            raise UserError(f"no file {path} (valid: run ./inv build first)")
    with source.image.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.origin.image_sha256:
        wanted = source.origin.image_sha256
        raise UserError(f"{source.image}: SHA-256 is {found} (valid: the manifest's, {wanted}; run ./inv build)")


def refusals(devices: Sequence[Device], path: str, needed_bytes: int, fixed: bool = False) -> list[str]:
    """Why `path` must not be written, each reason with what would be valid; empty when it may be.

    `devices` is lsblk's list of all block devices of this computer.
    """
    found = next((device for device in _all(devices) if device["path"] == path), None)
    if found is None:
        return [f"no block device (valid: {_candidates(devices, needed_bytes)})"]
    if found["type"] == "part":
        whole = next(device["path"] for device in devices if found in list(_all([device])))
        return [f"a partition (valid: the whole card, {whole})"]
    if found["type"] not in ("disk", "loop"):  # a loop device is never removable: only with `fixed`
        return [f"a {found['type']} device (valid: {_candidates(devices, needed_bytes)})"]
    reasons = _troubles(found, needed_bytes)
    if not _removable(found) and not fixed:
        reasons.append(f"not removable: a disk of this computer? (valid: {_candidates(devices, needed_bytes)})")
    return reasons


def describe(devices: Sequence[Device], path: str) -> str:
    """One line that lets a person recognise the device: its model, size and serial number."""
    found = next(device for device in _all(devices) if device["path"] == path)
    words = [str(found.get(key)).strip() for key in ("vendor", "model") if found.get(key)]
    serial = f", serial {found['serial']}" if found.get("serial") else ""
    return f"{path} ({' '.join(words) or 'no model'}, {int(found['size']) / 1e9:.1f} GB{serial})"


def verify(path: Path, bmap: str) -> None:
    """Raise ToolError unless each range of `path` has the hash that the `bmap` (its text) says."""
    size = _BLOCK_SIZE.search(bmap)
    ranges = _RANGE.findall(bmap)
    if not size or not ranges:
        raise ToolError(["verify", str(path)], 1, "", "the bmap has no block size or no range with a SHA-256")
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        # drops the cache; BLKFLSBUF would do so for root only
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for wanted, first, last in ranges:
            start, end = int(first) * int(size[1]), (int(last or first) + 1) * int(size[1])
            if _hash(stream.fileno(), start, end) != wanted:
                raise ToolError(
                    ["verify", str(path)],
                    1,
                    f"bytes {start} to {end} differ from the image",
                    "the card may be worn out",
                )


def _lend(device: str) -> str:
    return f"sudo chown $USER {device}"


def _hash(descriptor: int, start: int, end: int) -> str:
    digest = hashlib.sha256()
    while start < end and (data := os.pread(descriptor, min(CHUNK_BYTES, end - start), start)):
        digest.update(data)
        start += len(data)
    return digest.hexdigest()


def _check_device(path: Path, needed_bytes: int, fixed: bool) -> str:
    said = tool.capture([tool.need("lsblk", "util-linux"), "--json", "--bytes", "--output-all"])
    devices: list[Device] = json.loads(said)["blockdevices"]
    if reasons := refusals(devices, str(path), needed_bytes, fixed):
        raise UserError("\n".join(f"{path}: {reason}" for reason in reasons))
    return describe(devices, str(path))


def _all(devices: Sequence[Device]) -> Iterator[Device]:
    for device in devices:
        yield device
        yield from _all(device.get("children", []))


def _removable(disk: Device) -> bool:
    return bool(disk["rm"] or disk["hotplug"])


def _troubles(disk: Device, needed_bytes: int) -> list[str]:
    reasons = [reason for part in _all([disk]) for reason in _in_use(part)]
    if disk["ro"]:
        reasons.append("read-only (valid: a card whose lock is off)")
    if int(disk["size"] or 0) < needed_bytes:
        reasons.append(f"{disk['size']} bytes large (valid: at least {needed_bytes})")
    return reasons


def _in_use(part: Device) -> list[str]:
    """Why `part`, the disk itself or something on it, is in use."""
    reasons = []
    for place in part.get("mountpoints") or [part.get("mountpoint")]:
        if place == "[SWAP]":
            reasons.append(f"{part['path']} is swap space in use (valid: swapoff it, if this is really a card)")
        elif place == "/":
            reasons.append(f"{part['path']} holds the running system")
        elif place:
            reasons.append(f"{part['path']} is mounted on {place} (valid: unmount it first)")
    if part.get("fstype") in IN_USE or part["type"] in STACKED:
        reasons.append(f"{part['path']} belongs to {part.get('fstype') or part['type']} (valid: a card without it)")
    return reasons


def _candidates(devices: Sequence[Device], needed_bytes: int) -> str:
    found = [
        describe(devices, device["path"])
        for device in devices
        if device["type"] == "disk" and _removable(device) and not _troubles(device, needed_bytes)
    ]
    return ", ".join(found) or "a card in a reader; there is none now"
