# SPDX-License-Identifier: MIT
"""Debian's armhf programs on a running board whose system has none of them.

    fio = armhf.install(target, "fio")
    target.output(fio.command("fio", "--version"))

The packages of the board's own suite are fetched by apt, verified, with what the board's root file system lacks of
their dependencies: apt is told that the packages of the board's base are installed. Of these, the named packages'
programs and the shared libraries that they need are put into a folder of /run on the board (a tmpfs: the root is
read-only), and the programs are started with that folder as their library path. What was fetched is a stage
(firmware/stage.py): the second run needs no network. Raises UserError (no such package), ToolError (apt), TargetError
(the board refuses).
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from firmware import base, paths, recipe, sources, tool, tree
from firmware.errors import ToolError
from firmware.ssh import Target
from firmware.stage import Stage

FORMAT = "1"  # of the result; another one makes it anew
FOLDER = "/run/armhf"
PROGRAM_FOLDERS = ("usr/bin", "usr/sbin", "bin", "sbin")
LIBRARY_FOLDERS = ("usr/lib/arm-linux-gnueabihf", "lib/arm-linux-gnueabihf")
NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[(.+)\]")
COPY_SECONDS = 300.0


@dataclass(frozen=True)
class Installed:
    """Programs on a board, below `folder`."""

    folder: str

    def command(self, program: str, *arguments: str) -> list[str]:
        """Argv that runs `program` on the board; for `Target.run`, also with `sudo`."""
        return ["env", f"LD_LIBRARY_PATH={self.folder}/lib", f"{self.folder}/bin/{program}", *arguments]


class Index(sources.Index):
    """apt's private world of the board: architecture armhf, and the base's packages are installed."""

    def __init__(self, origin: base.Archive, status: str) -> None:
        """Take packages from `origin`; `status` is the text of the base's dpkg status file."""
        super().__init__(origin.suite)
        self.listing, self._status = origin.listing, status
        digest = hashlib.sha256((self.listing + status).encode()).hexdigest()[:12]
        self.root = paths.cache() / "apt" / f"{origin.suite}-{base.ARCHITECTURE}-{digest}"
        self.environment["APT_CONFIG"] = str(self.root / "apt.conf")

    def _configure(self) -> None:
        super()._configure()
        (self.root / "status").write_text(self._status)
        with (self.root / "apt.conf").open("a") as settings:
            settings.write(f'APT::Architecture "{base.ARCHITECTURE}";\nAPT::Architectures "{base.ARCHITECTURE}";\n')
            settings.write('Debug::NoLocking "true";\nAPT::Install-Recommends "false";\n')

    def _update(self) -> None:
        """As firmware/base.py does: a suite that is out of step on the mirror is taken under its other name."""
        try:
            super()._update()
        except ToolError as error:
            if not base.OUT_OF_STEP.search(error.tail):
                raise
            self.listing = base.under_alias(self.listing, self.suite)
            super()._update()


def install(target: Target, *packages: str) -> Installed:
    """Put the programs of Debian's `packages` onto the board; each set of packages has a folder of its own."""
    content = build(packages) / "files.tar.gz"
    folder = f"{FOLDER}/{content.parent.name}"
    script = 'test -d "$1" || { mkdir -p "$1.new" && tar -xz -C "$1.new" && mv "$1.new" "$1"; }'
    target.output(["sh", "-c", script, "sh", folder], sudo=True, stdin=content.read_bytes(), timeout=COPY_SECONDS)
    return Installed(folder)


def build(packages: Iterable[str]) -> Path:
    """Folder with `files.tar.gz` (`bin/`, `lib/`) of the programs of `packages`."""
    names = sorted(set(packages))
    system = base.build(recipe.load_all())
    root = tree.load(system / "tree.json")
    index = Index(base.archive(), root.text(base.STATUS))
    versions = [index.newest(name, binary=True) for name in names]
    identity = "\n".join(f"{found.package} {found.version} {found.sha256}" for found in versions)
    stage = Stage("armhf", texts={"packages": identity, "base": (system / "sha256").read_text(), "format": FORMAT})

    def work(folder: Path) -> None:
        scratch = folder / "scratch"
        unpack(index, names, scratch, folder / "fetch.log")
        pack(chosen(names, scratch, root), folder / "files.tar.gz")
        shutil.rmtree(scratch)

    return stage.make(work)


def unpack(index: Index, names: list[str], scratch: Path, log: Path) -> None:
    """Fetch packages with their missing dependencies; each is unpacked in `scratch`/<name>."""
    archives = scratch / ".archives"
    (archives / "partial").mkdir(parents=True)
    command = ["apt-get", "--yes", "--download-only", "-o", f"Dir::Cache::archives={archives}", "install", *names]
    if index.age() > sources.DAY:
        index.update()  # the mirror may have dropped that version meanwhile
    index.run(command, log)
    for package in sorted(archives.glob("*.deb")):
        tool.run(["dpkg-deb", "-x", package, scratch / package.name.split("_")[0]], log)


def chosen(names: list[str], scratch: Path, root: tree.Tree) -> dict[str, Path]:
    """Path below the board's folder -> host file: the packages' programs and the libraries that the board lacks."""
    programs = [
        path
        for name in names
        for folder in PROGRAM_FOLDERS
        for path in sorted((scratch / name / folder).glob("*"))
        if path.is_file()
    ]
    libraries = {
        path.name: path for folder in LIBRARY_FOLDERS for path in scratch.glob(f"*/{folder}/**/*.so*") if path.is_file()
    }
    found = {f"bin/{path.name}": path.resolve() for path in programs}
    waiting = list(programs)
    while waiting:
        for name in needed(waiting.pop()):
            if name in libraries and f"lib/{name}" not in found and not on_board(name, root):
                found[f"lib/{name}"] = libraries[name].resolve()
                waiting.append(libraries[name])
    return found


def on_board(library: str, root: tree.Tree) -> bool:
    """Whether the base has the shared library."""
    return any(f"/{folder}/{library}" in root for folder in LIBRARY_FOLDERS)


def needed(path: Path) -> list[str]:
    """Names of the shared libraries that an ELF file asks for; none for a script."""
    if path.read_bytes()[:4] != b"\x7fELF":
        return []
    return NEEDED.findall(tool.capture([tool.need("readelf", "binutils"), "--dynamic", path]))


def pack(files: dict[str, Path], archive: Path) -> None:
    """Write a tar archive of host files, root's."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
