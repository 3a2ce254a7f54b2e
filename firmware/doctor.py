# SPDX-License-Identifier: MIT
"""The doctor: is this host able to build? Each check has a verdict and, when it is not good, what to do.

Verdicts: `ok`, `warn` (it will work, but slowly or in part) and `block` (it will not work). `./inv doctor` prints all
checks and fails when one blocks; `build` runs the blocking ones first, so that a full disk or a missing tool is said
before the first write.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firmware import paths
from firmware.errors import UserError

GIB = 1 << 30
BUILD_BYTES = 8 * GIB  # kernel tree 2.5, root file system 1, image 1.1, bundles and sources 1, and as much again

# program -> Debian package
TOOLS = {
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf",
    "bc": "bc",
    "bison": "bison",
    "bmaptool": "bmap-tools",
    "debugfs": "e2fsprogs",
    "depmod": "kmod",
    "dpkg-source": "dpkg-dev",
    "dtc": "device-tree-compiler",
    "flex": "flex",
    "gcc": "gcc",
    "genimage": "genimage",
    "make": "make",
    "meson": "meson",
    "mke2fs": "e2fsprogs",
    "mksquashfs": "squashfs-tools",
    "mmdebstrap": "mmdebstrap",
    "ninja": "ninja-build",
    "qemu-arm-static": "qemu-user-static",
    "qemu-system-arm": "qemu-system-arm",
    "rauc": "rauc",
    "ssh": "openssh-client",
    "xxd": "xxd",
    "xz": "xz-utils",
}


@dataclass(frozen=True)
class Finding:
    """One check's verdict: `advice` says what to do, and is empty when there is nothing to do."""

    name: str
    verdict: Literal["ok", "warn", "block"]
    seen: str
    advice: str = ""


def existing(path: Path) -> Path:
    """`path`, or its nearest parent that is there."""
    while not path.exists():
        path = path.parent
    return path


def check_disk(wanted: int = BUILD_BYTES) -> Finding:
    """The file systems of the cache and of `build/` have room for a build."""
    free = {str(place): shutil.disk_usage(existing(place)).free for place in (paths.cache(), paths.BUILD)}
    place, least = min(free.items(), key=lambda item: item[1])
    seen = f"{least / GIB:.1f} GiB free at {place}"
    if least < wanted and not (paths.cache() / "stages").is_dir():
        return Finding(
            "disk", "block", seen, f"free at least {wanted / GIB:.0f} GiB, or point XDG_CACHE_HOME elsewhere"
        )
    if least < GIB:
        return Finding("disk", "block", seen, "free at least 1 GiB, or run ./inv clean")
    return Finding("disk", "ok", seen)


def check_memory() -> Finding:
    """Memory for the emulated board (1 GiB) beside a build."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    seen = f"{total / GIB:.1f} GiB"
    if total < 3 * GIB:
        return Finding("memory", "warn", seen, "less than 3 GiB: the emulated board may be slow")
    return Finding("memory", "ok", seen)


def check_tools() -> Finding:
    """Every host program that a build starts is there."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = {tool: package for tool, package in TOOLS.items() if shutil.which(tool, path=search) is None}
    if missing:
        advice = "run ./inv --setup, or: sudo apt-get install " + " ".join(sorted(set(missing.values())))
        return Finding("tools", "block", "missing: " + ", ".join(sorted(missing)), advice)
    return Finding("tools", "ok", f"{len(TOOLS)} programs")


def check_cache_writable() -> Finding:
    """The cache and `build/` can be written."""
    for place in (paths.cache(), paths.BUILD):
        if not os.access(existing(place), os.W_OK):
            return Finding("folders", "block", f"{place} cannot be written", "change its owner, or set XDG_CACHE_HOME")
    return Finding("folders", "ok", str(paths.cache()))


def check_loopback() -> Finding:
    """Loopback ports can be bound: the emulated board is reached through them."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Finding("loopback", "ok", "a port can be bound")
    except OSError as error:
        return Finding("loopback", "block", str(error), "allow binding to 127.0.0.1")


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_disk,
    check_memory,
    check_tools,
    check_cache_writable,
    check_loopback,
)


def examine() -> list[Finding]:
    """All findings."""
    return [check() for check in CHECKS]


def require(findings: list[Finding] | None = None) -> None:
    """Raise UserError when a check blocks; the Debian engine's are asked when none are given."""
    blocking = [finding for finding in (examine() if findings is None else findings) if finding.verdict == "block"]
    if blocking:
        raise UserError("\n".join(f"{f.name}: {f.seen} (valid: {f.advice})" for f in blocking))


def report(findings: list[Finding] | None = None) -> None:
    """Print all findings (default: the Debian engine's). Raises UserError when one blocks."""
    findings = examine() if findings is None else findings
    for finding in findings:
        print(
            f"{finding.verdict:5} {finding.name:10} {finding.seen}"
            + (f"  -> {finding.advice}" if finding.advice else "")
        )
    require(findings)
