# SPDX-License-Identifier: MIT
"""The doctor for the Yocto engine: what BitBake and OpenEmbedded-Core want of a host, said in seconds, not after an
hour.

Each check is a function of what it looks at; `examine` asks all. The last three look at what an earlier build left:
paths of this host in sstate, and kernel and U-Boot configurations without what the boards cannot do without.
"""

from __future__ import annotations

import locale
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from firmware import lock, names, paths, release
from firmware.board import Board
from firmware.doctor import GIB, Finding, existing

BUILD_BYTES = 60 * GIB  # with rm_work; OpenEmbedded's manual asks for 90 to 140 without
TARGET_BYTES = 20 * GIB  # of one recipe and the tools that it is built with
MEMORY_BYTES = 8 * GIB
WATCHES = 65536  # BitBake's server watches every folder with recipes
# OpenEmbedded-Core's SANITY_REQUIRED_UTILITIES and HOSTTOOLS that a plain host lacks -> Debian package
TOOLS = {
    "ar": "binutils",
    "chrpath": "chrpath",
    "cpio": "cpio",
    "diffstat": "diffstat",
    "file": "file",
    "g++": "g++",
    "gawk": "gawk",
    "gcc": "gcc",
    "git": "git",
    "lz4c": "lz4",
    "make": "make",
    "patch": "patch",
    "perl": "perl",
    "rpcgen": "rpcsvc-proto",
    "wget": "wget",
    "xz": "xz-utils",
    "zstd": "zstd",
}
KERNEL_NEEDS = {"CONFIG_DEVTMPFS": "y", "CONFIG_SQUASHFS": "y", "CONFIG_DM_VERITY": "y", "CONFIG_OF_OVERLAY": "y"}
U_BOOT_NEEDS = {"CONFIG_FPGA_SOCFPGA": "y", "CONFIG_OF_LIBFDT_OVERLAY": "y", "CONFIG_WATCHDOG": "y"}


def check_user(uid: int) -> Finding:
    """BitBake refuses root."""
    if uid == 0:
        return Finding("user", "block", "root", "BitBake refuses root: work as an ordinary user")
    return Finding("user", "ok", str(uid))


def check_disk(place: Path, wanted: int = BUILD_BYTES) -> Finding:
    """Room for a build from nothing; an earlier build's needs little more."""
    free = shutil.disk_usage(existing(place)).free
    seen = f"{free / GIB:.1f} GiB free at {place}"
    if free < (wanted if not (place / "build" / "tmp").is_dir() else 5 * GIB):
        return Finding("disk", "block", seen, f"free {wanted / GIB:.0f} GiB, or lay build/ on another disk")
    return Finding("disk", "ok", seen)


def check_memory(total: int) -> Finding:
    """Linkers of large packages need it."""
    seen = f"{total / GIB:.1f} GiB"
    if total < MEMORY_BYTES:
        return Finding(
            "memory", "warn", seen, "set BB_NUMBER_THREADS=1 PARALLEL_MAKE=-j2, or builds of large packages die"
        )
    return Finding("memory", "ok", seen)


def check_inotify(watches: int) -> Finding:
    """BitBake's server watches folders."""
    if watches < WATCHES:
        return Finding(
            "inotify", "warn", f"{watches} watches", f"sudo sysctl fs.inotify.max_user_watches={WATCHES * 8}"
        )
    return Finding("inotify", "ok", f"{watches} watches")


def check_locale(available: Iterable[str]) -> Finding:
    """en_US.UTF-8, in which BitBake runs every task."""
    if not any(name.replace("-", "").lower() == "en_us.utf8" for name in available):
        advice = "sudo apt-get install locales, then en_US.UTF-8 in sudo dpkg-reconfigure locales"
        return Finding("locale", "block", "no en_US.UTF-8", advice)
    return Finding("locale", "ok", "en_US.UTF-8")


def check_case(place: Path) -> Finding:
    """A file system that tells `a` from `A`, and takes names of 200 bytes (not so: encrypted home folders)."""
    with tempfile.TemporaryDirectory(prefix="case-", dir=existing(place)) as scratch:
        (Path(scratch) / "name").touch()
        if (Path(scratch) / "NAME").exists():
            return Finding("names", "block", f"{place} does not tell a from A", "lay build/ on a Linux file system")
        try:
            (Path(scratch) / ("n" * 200)).touch()
        except OSError:
            return Finding("names", "block", f"{place} takes no long names", "lay build/ on an unencrypted file system")
    return Finding("names", "ok", "case-sensitive, long names")


def check_tools(search: str) -> Finding:
    """Programs that OpenEmbedded-Core takes from the host; kas looks only in the system's folders."""
    missing = {tool: package for tool, package in TOOLS.items() if shutil.which(tool, path=search) is None}
    if missing:
        advice = "sudo apt-get install " + " ".join(sorted(set(missing.values())))
        return Finding("tools", "block", "missing: " + ", ".join(sorted(missing)), advice)
    return Finding("tools", "ok", f"{len(TOOLS)} programs")


def check_mirrors(layers: Iterable[lock.Layer], reach: Callable[[str], str], present: bool = False) -> Finding:
    """Each layer's repository can be reached: `reach` says why not, or nothing. `present`: from a build before."""
    for layer in layers:
        place = lock.place(layer.url)
        if said := reach(place):
            advice = "check the network, or set OE_MIRRORS to a mirror as ./inv mirror fills it"
            return Finding("mirrors", "warn" if present else "block", f"{layer.name}: {place}: {said}", advice)
    return Finding("mirrors", "ok", "every layer's repository")


def reach(place: str) -> str:
    """Why a repository cannot be reached, or nothing: a folder is there, or a server takes connections."""
    parts = urlsplit(place)
    if not parts.hostname:
        return "" if Path(parts.path).is_dir() else "no such folder"
    if os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"):
        return ""  # the proxy's business
    try:
        with socket.create_connection(
            (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), timeout=5
        ):
            return ""
    except OSError as error:
        return str(error)


def check_sstate(folder: Path, needle: str, most: int = 200) -> Finding:
    """No file's content in sstate names the build folder: such an object works on this host only."""
    if not folder.is_dir():
        return Finding("sstate", "ok", "none yet")
    newest = sorted(folder.rglob("*.tar.zst"), key=lambda path: path.stat().st_mtime, reverse=True)[:most]
    zstd = shutil.which("zstd")
    if zstd is None:
        return Finding("sstate", "warn", "not looked at", "sudo apt-get install zstd")
    for path in newest:
        done = subprocess.run([zstd, "-dcq", path], capture_output=True, check=False)  # noqa: S603  # argv, no shell
        if needle.encode() in done.stdout:
            return Finding(
                "sstate", "warn", f"{path.name} names {needle}", "its recipe leaks the build folder: mend it"
            )
    return Finding("sstate", "ok", f"{len(newest)} newest objects name no folder of this host")


def check_config(name: str, folder: Path, pattern: str, wanted: Mapping[str, str]) -> Finding:
    """A built configuration has what a board cannot boot or upgrade without."""
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        return Finding(name, "ok", "none built yet")
    lines = set(found[-1].read_text(errors="replace").splitlines())
    missing = [f"{symbol}={value}" for symbol, value in wanted.items() if f"{symbol}={value}" not in lines]
    if missing:
        advice = "a fragment in layers/meta-cyclone-capture lost its effect, see config_assert.bbclass"
        return Finding(name, "warn", f"{found[-1]}: no {', '.join(missing)}", advice)
    return Finding(name, "ok", f"{len(wanted)} symbols in {found[-1].name}")


def check_names() -> Finding:
    """The list of what the upstream layers provide is there."""
    known = names.load()
    return Finding("layers", "ok", f"{len(known.providers)} providers, {len(known.packages)} packages known")


def _locales() -> list[str]:
    try:
        locale.setlocale(locale.LC_CTYPE, "en_US.UTF-8")
    except locale.Error:
        return []
    finally:
        locale.setlocale(locale.LC_CTYPE, "")
    return ["en_US.UTF-8"]


def examine(boards: Sequence[Board], wanted: int = BUILD_BYTES) -> list[Finding]:
    """All findings for a run of `boards`; `wanted` bytes of disk are needed by a build from nothing."""
    place = release.folder(*boards)
    work = place / "build" / "tmp" / "work"
    watches = Path("/proc/sys/fs/inotify/max_user_watches")
    return [
        check_user(os.geteuid()),
        check_disk(place, wanted),
        check_memory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        check_inotify(int(watches.read_text()) if watches.exists() else WATCHES),
        check_locale(_locales()),
        check_case(place),
        check_tools("/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        check_mirrors(lock.layers(), reach, present=(place / "openembedded-core").is_dir()),
        check_names(),
        check_sstate(Path(os.environ.get("SSTATE_DIR") or release.shared("sstate-cache")), str(paths.BUILD)),
        check_config("kernel", work, "*/linux-capture/*/**/.config", KERNEL_NEEDS),
        check_config("u-boot", work, "*/u-boot/*/**/.config", U_BOOT_NEEDS),
    ]
