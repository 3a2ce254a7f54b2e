# SPDX-License-Identifier: MIT
"""The base of a slot: Debian's signed packages for armhf, by `mmdebstrap`; the same for all boards.

The stage's result is `tree.json` and `files/` (mmdebstrap's tar file, unpacked so that a slot can be made of it without
unpacking it again), `sha256` (of the tree), `epoch` (seconds: the date of the newest release file, the time that
the slot gets) and `packages.json` (name, version, source). Its key is made of the package list, the sources list and
the dates in the signed release files: it is made anew when the index is refreshed, never by the clock.

The suite is Debian 13 from the host's own mirror. Two variables of the environment change that: `CYCLONE_CAPTURE_SUITE`
(`trixie` or `bookworm`), and `CYCLONE_CAPTURE_SOURCES`, an apt sources list of your own, e.g. of a frozen mirror.

A mirror that is being synchronised may serve a suite's signed release file before the package index that belongs to
it; apt refuses that. The same suite under its other name (`stable` for `trixie`), with a signed release file of its
own, may be whole then, and is tried next; the system that comes out must still say that it is the suite asked for.

Maintainer scripts run as armhf programs through qemu-user; binfmt_misc must know qemu-arm. As root, an unregistered
qemu-arm is registered; otherwise the error names the command. As an ordinary user, mmdebstrap uses a user namespace.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from email.parser import Parser
from email.utils import parsedate_to_datetime
from pathlib import Path

from firmware import progress, sources, tool, tree
from firmware.errors import ToolError, UserError
from firmware.recipe import Recipe
from firmware.stage import Stage

SUITE = "trixie"
FORMAT = "2"  # of the result; another one makes the base anew
ARCHITECTURE = "armhf"
STATUS = "/var/lib/dpkg/status"
INIT = ("systemd", "systemd-sysv", "udev")
# Debian policy keeps the copyright files: they are the licences
DPKG_OPTIONS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/bash-completion/*",
    "path-exclude=/usr/share/zsh/*",
    "path-exclude=/usr/share/bug/*",
)
ALIASES = {"trixie": "stable", "bookworm": "oldstable"}
OUT_OF_STEP = re.compile(r"unexpected size|Hash Sum mismatch|Mirror sync in progress")
BINFMT = Path("/proc/sys/fs/binfmt_misc")


@dataclass(frozen=True)
class Archive:
    """Where the packages come from: `listing` for apt, and the date of the newest of the suite's release files."""

    suite: str
    listing: str
    epoch: int


def archive() -> Archive:
    """The archive that this build takes packages from. Raises UserError: the environment names none that there is."""
    suite = os.environ.get("CYCLONE_CAPTURE_SUITE") or SUITE
    own = os.environ.get("CYCLONE_CAPTURE_SOURCES")
    derived = sources.sources_list(suite, architecture=ARCHITECTURE)
    if own and not Path(own).is_file():
        raise UserError(f"CYCLONE_CAPTURE_SOURCES: {own}: no such file (valid: an apt sources list)")
    listing = Path(own).read_text() if own else derived
    return Archive(suite, listing, released(sources.Index(suite)))


def released(index: sources.Index) -> int:
    """Newest date in the signed release files of an index, fetched when it is not there; seconds since 1970."""
    if not (index.root / "fetched").is_file():
        index.update()
    dates = [
        int(parsedate_to_datetime(line.removeprefix("Date:").strip()).timestamp())
        for path in sorted((index.root / "lists").glob("*Release"))
        for line in path.read_text(errors="replace").splitlines()
        if line.startswith("Date:")
    ]
    if not dates:
        raise UserError(f"{index.root}: no release file in apt's lists (valid: run ./inv build --update)")
    return max(dates)


def packages(recipes: list[Recipe]) -> list[str]:
    """Debian packages of a slot, sorted: the init system and what recipes need; dependencies come by themselves."""
    return sorted({*INIT, *(package for recipe in recipes for package in recipe.packages.debian)})


def command(wanted: list[str], listing: Path, settings: Path, out: Path, suite: str) -> list[str]:
    """`mmdebstrap` command that writes the base to the tar file `out`; `settings` is a file of apt settings."""
    return [
        *(tool.need("mmdebstrap", "mmdebstrap"), f"--architectures={ARCHITECTURE}", "--variant=essential"),
        *("--format=tar", f"--include={','.join(wanted)}", f"--aptopt={settings}"),
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
        *(suite, str(out), str(listing)),
    ]


def require_binfmt(registered: Path = BINFMT) -> None:
    """Make sure that armhf programs run here. Raises UserError with the command that sees to it."""
    if (registered / "qemu-arm").exists() or os.uname().machine == "armv7l":
        return
    advice = "sudo sh -c 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; update-binfmts --enable qemu-arm'"
    if os.geteuid() == 0 and registered == BINFMT:
        if not (registered / "register").exists():
            tool.capture([tool.need("mount", "mount"), "-t", "binfmt_misc", "none", registered])
        tool.capture([tool.need("update-binfmts", "binfmt-support"), "--enable", "qemu-arm"])
    if not (registered / "qemu-arm").exists():
        raise UserError(f"this kernel does not run armhf programs: qemu-arm is not registered (valid: run {advice})")


def installed(status: str) -> list[dict[str, str]]:
    """Packages of a dpkg status file, sorted by name: `name`, `version`, `source`, `source_version`."""
    found = []
    for paragraph in status.strip().split("\n\n"):
        fields = Parser().parsestr(paragraph, headersonly=True)
        if "installed" not in (fields["Status"] or "").split():
            continue
        source, _, version = (fields["Source"] or fields["Package"]).partition(" ")
        found.append(
            {
                "name": fields["Package"],
                "version": fields["Version"],
                "source": source,
                "source_version": version.strip("() ") or fields["Version"],
            }
        )
    return sorted(found, key=lambda package: package["name"])


def under_alias(listing: str, suite: str) -> str:
    """The sources list with the suite under its other name, e.g. `stable-updates` for `trixie-updates`."""
    return re.sub(rf"\b{suite}(?=-updates\b|-security\b|\s)", ALIASES[suite], listing)


def require_suite(system: tree.Tree, suite: str) -> None:
    """Raise ToolError unless the system says that it is Debian's `suite`."""
    said = re.search(r"^VERSION_CODENAME=(.*)$", system.text("/usr/lib/os-release"), re.MULTILINE)
    if said is None or said[1] != suite:
        raise ToolError(["mmdebstrap"], 0, f"the archive gave Debian {said and said[1]}, not {suite}")


def bootstrap(origin: Archive, wanted: list[str], folder: Path) -> Path:
    """Run mmdebstrap; the tar file. A suite that is out of step on the mirror is taken under its other name."""
    listing, settings, out, log = (folder / name for name in ("sources.list", "apt.conf", "base.tar", "log"))
    settings.write_text(sources.host_settings() + 'Acquire::Languages "none";\n')
    for text in (origin.listing, under_alias(origin.listing, origin.suite)):
        listing.write_text(text)
        log.unlink(missing_ok=True)
        try:
            with progress.watch("base", log, said=progress.last_line):
                tool.run(
                    command(wanted, listing, settings, out, origin.suite),
                    log=log,
                    environment={"SOURCE_DATE_EPOCH": str(origin.epoch), "LC_ALL": "C.UTF-8"},
                    hint=sources.ADVICE.format(mirror=sources.mirror().main),
                )
        except ToolError:
            if not OUT_OF_STEP.search(log.read_text(errors="replace")):
                raise
        else:
            return out
    raise ToolError(
        ["mmdebstrap", origin.suite],
        1,
        tool.tail(log),
        f"the mirror is being synchronised: its {ARCHITECTURE} index is not the signed one; try again later, or set "
        "CYCLONE_CAPTURE_SOURCES to an apt sources list with another mirror",
    )


def unpack(out: Path, folder: Path, epoch: int, suite: str) -> None:
    """Turn mmdebstrap's tar file `out` into the stage's result in `folder`; the tar file goes."""
    (folder / "epoch").write_text(f"{epoch}\n")
    (folder / "files").mkdir()
    system = tree.from_tar(out, folder / "files", epoch)
    require_suite(system, suite)
    for path in system.below("/etc/ssh"):
        if path.startswith("/etc/ssh/ssh_host_"):  # random, and never meant for a board
            system.remove(path)
    system.save(folder / "tree.json")
    (folder / "sha256").write_text(system.digest() + "\n")
    (folder / "packages.json").write_text(json.dumps(installed(system.text(STATUS)), indent=1) + "\n")
    out.unlink()


def build(recipes: list[Recipe], wanted_archive: Archive | None = None) -> Path:
    """Result folder of the base, for all boards. Raises UserError, ToolError: a package or the network is missing."""
    origin = wanted_archive or archive()
    wanted = packages(recipes)
    stage = Stage(
        "base",
        texts={
            "packages": " ".join(wanted),
            "sources": origin.listing,
            "epoch": str(origin.epoch),
            "suite": origin.suite,
            "options": " ".join(DPKG_OPTIONS),
            "format": FORMAT,
        },
    )

    def work(folder: Path) -> None:
        require_binfmt()
        unpack(bootstrap(origin, wanted, folder), folder, origin.epoch, origin.suite)

    return stage.make(work)
