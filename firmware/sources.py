# SPDX-License-Identifier: MIT
"""Debian packages as sources: fetched by apt, verified by Debian's signatures, unpacked in the cache.

The host's own apt is used, but with a private configuration: indexes and archives live below the cache, one set a
suite, and nothing of the host is changed. Mirror and proxy are the host's (`firmware/host_apt.py`); the keys are those
of `debian-archive-keyring`. An index that was once fetched is used until `refresh(suite)`, so that a build whose
inputs are all in the cache needs no network and gives the same result; a package is the newest one of its index.
"""

from __future__ import annotations

import email.utils
import fcntl
import functools
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from firmware import host_apt, paths, tool
from firmware.errors import ToolError, UserError
from firmware.stage import Stage

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = ("bookworm", "trixie")
BACKPORTS = "trixie-backports"  # what no product is made of: the newest kernels, for the driver to be compiled against
DAY = 24 * 60 * 60  # seconds
# The host's settings that say how to reach a mirror and how old its (signed) index may be.
KEPT_SETTINGS = re.compile(r"^Acquire::(https?|Retries|Proxy|Check-Valid-Until|Check-Date)\b", re.IGNORECASE)
ADVICE = (
    "Debian's mirror {mirror} could not be used: check the network and the mirror and proxy in the host's apt settings "
    "(/etc/apt); what is in the cache already needs no network"
)


@dataclass(frozen=True)
class Version:
    """One version of a package in a suite; `sha256` is that of the `.deb` or the `.dsc`."""

    package: str
    version: str
    suite: str
    sha256: str


@dataclass(frozen=True)
class Source(Version):
    """A fetched package: `folder` holds `tree/` (unpacked) and `changed` (seconds, when the maintainer released it)."""

    folder: Path

    @property
    def tree(self) -> Path:
        """The unpacked package."""
        return self.folder / "tree"

    @property
    def epoch(self) -> int:
        """When this version was released, seconds since 1970: the time stamp of what is built from it."""
        return int((self.folder / "changed").read_text())

    @property
    def identity(self) -> str:
        """Text that names exactly this version, for a stage's key."""
        return f"{self.package} {self.version} {self.sha256}"


@functools.cache
def mirror() -> host_apt.Mirror:
    """Debian's mirror, from the host's settings."""
    return host_apt.mirror(host_apt.entries())


def sources_list(suite: str, kinds: Sequence[str] = ("deb",), architecture: str | None = None) -> str:
    """Lines for apt: `suite` with its updates and, where the host's mirror has it, its security archive.

    Raises UserError: a suite that this product does not use, or Debian's keyring missing.
    """
    if suite not in (*SUITES, BACKPORTS):
        raise UserError(f"suite {suite!r} is not used here (valid: {', '.join((*SUITES, BACKPORTS))})")
    if not KEYRING.is_file():
        raise UserError(f"{KEYRING} is missing (valid: install Debian's 'debian-archive-keyring')")
    options = f"[{f'arch={architecture} ' if architecture else ''}signed-by={KEYRING}]"
    places = [(mirror().main, suite)]
    if suite in SUITES:
        places.append((mirror().main, f"{suite}-updates"))
    if suite in SUITES and mirror().security:
        places.append((str(mirror().security), f"{suite}-security"))
    return "".join(f"{kind} {options} {uri} {name} main\n" for kind in kinds for uri, name in places)


def host_settings() -> str:
    """The host's apt settings about proxies, certificates, time-outs and the age of an index."""
    lines = tool.capture([tool.need("apt-config", "apt"), "dump"]).splitlines()
    return "".join(f"{line}\n" for line in lines if KEPT_SETTINGS.match(line) and not line.endswith(' "";'))


class Index:
    """apt's private world for one suite: its configuration, lists and what was looked up in them."""

    def __init__(self, suite: str) -> None:
        """Name the suite; nothing is written yet."""
        self.suite = suite
        self.listing = sources_list(suite, kinds=("deb", "deb-src"))
        self.root = paths.cache() / "apt" / f"{suite}-{hashlib.sha256(self.listing.encode()).hexdigest()[:12]}"
        self.environment = {"APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C.UTF-8"}

    def _configure(self) -> None:
        for name in ("lists/partial", "archives/partial", "resolved"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        (self.root / "sources.list").write_text(self.listing, encoding="utf-8")
        settings = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::sourcelist": f"{self.root}/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": f"{self.root}",
            "Dir::State::lists": f"{self.root}/lists",
            "Dir::State::status": f"{self.root}/status",
            "Dir::Cache": f"{self.root}",
            "Dir::Cache::archives": f"{self.root}/archives",
            "Acquire::Languages": "none",
            "Acquire::AllowInsecureRepositories": "false",
            "APT::Update::Error-Mode": "any",  # a half-fetched index is an error, not a warning
            "APT::Sandbox::User": "root",  # the cache may be in a home that _apt can't enter
        }
        own = "".join(f'{name} "{value}";\n' for name, value in settings.items())
        (self.root / "apt.conf").write_text(host_settings() + own, encoding="utf-8")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two builds at once wait for each other: apt would refuse the second."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def age(self) -> float:
        """Seconds since the index was fetched; it must have been."""
        return time.time() - (self.root / "fetched").stat().st_mtime

    def update(self) -> None:
        """Fetch the suite's index anew. Raises ToolError that says what to do; the old index stays then."""
        with self._locked():
            self._update()

    def _update(self) -> None:
        self._configure()
        log = self.root / "update.log"
        log.unlink(missing_ok=True)
        with tool.step(f"package index {self.suite}"):
            self.run(["apt-get", "update"], log)
        shutil.rmtree(self.root / "resolved")
        (self.root / "resolved").mkdir()
        (self.root / "fetched").touch()

    def run(self, command: Sequence[str], log: Path, cwd: Path | None = None) -> None:
        """Run an apt program in this world. Raises ToolError with advice."""
        tool.need(command[0], "apt")
        advice = ADVICE.format(mirror=mirror().main)
        tool.run(command, log=log, cwd=cwd, environment=self.environment, hint=advice)

    def newest(self, package: str, binary: bool) -> Version:
        """Newest version of `package`. Raises UserError when the suite has none."""
        memory = self.root / "resolved" / f"{package}.{'deb' if binary else 'dsc'}.json"
        if memory.is_file():
            return Version(**json.loads(memory.read_text()))
        with self._locked():
            if not (self.root / "fetched").is_file():
                self._update()
        query = ["show", "--no-all-versions"] if binary else ["showsrc", "--only-source"]
        try:
            text = tool.capture(["apt-cache", *query, package], environment=self.environment)
        except ToolError:
            text = ""
        version = pick(text, package, self.suite)
        partial = memory.with_suffix(".tmp")
        partial.write_text(json.dumps(asdict(version)))
        partial.rename(memory)
        return version


def pick(text: str, package: str, suite: str) -> Version:
    """The newest version in what `apt-cache show` or `showsrc` printed. Raises UserError when there is none."""
    best: Version | None = None
    for fields in host_apt.paragraphs(text):
        if package not in (fields.get("package"), fields.get("source")) or "version" not in fields:
            continue
        digests = [line.split() for line in fields.get("checksums-sha256", "").splitlines()]
        dsc = [words[0] for words in digests if len(words) == 3 and words[2].endswith(".dsc")]
        found = Version(package, fields["version"], suite, fields.get("sha256") or "".join(dsc))
        if best is None or newer(found.version, best.version):
            best = found
    if best is None:
        raise UserError(f"Debian {suite} has no package {package!r} (valid: a package of that suite, or another suite)")
    return best


def newer(one: str, other: str) -> bool:
    """Whether version `one` is newer than `other`, by Debian's rules."""
    try:
        tool.capture(["dpkg", "--compare-versions", one, "gt", other])
    except ToolError:
        return False
    return True


def refresh(suites: Sequence[str] = SUITES) -> None:
    """Fetch the indexes of `suites` anew: the next build uses the packages of today."""
    for suite in suites:
        Index(suite).update()


def fetch(package: str, suite: str, binary: bool = False, refresh: bool = False) -> Source:
    """The newest source (or, with `binary`, binary) package of `suite`, verified by apt and unpacked.

    Raises UserError (no such package or suite) or ToolError (no network, a signature or a checksum that is wrong).
    """
    index = Index(suite)
    if refresh:
        index.update()
    version = index.newest(package, binary)
    if not _stage(version, binary).done() and index.age() > DAY:
        index.update()  # the mirror may have dropped that version meanwhile
        version = index.newest(package, binary)

    def work(folder: Path) -> None:
        download, log = folder / "download", folder / "fetch.log"
        download.mkdir()
        wanted = f"{package}={version.version}"
        if binary:
            index.run(["apt-get", "download", wanted], log, cwd=download)
            tool.run(["dpkg-deb", "-x", *download.glob("*.deb"), folder / "tree"], log)
            changelog = folder / "tree" / "usr/share/doc" / package / "changelog.Debian.gz"
        else:
            index.run(["apt-get", "source", "--download-only", "--only-source", wanted], log, cwd=download)
            tool.need("dpkg-source", "dpkg-dev")
            tool.run(["dpkg-source", "-x", *download.glob("*.dsc"), folder / "tree"], log)
            changelog = folder / "tree" / "debian/changelog"
        (folder / "changed").write_text(f"{released(changelog)}\n")
        shutil.rmtree(download)

    return Source(**asdict(version), folder=_stage(version, binary).make(work))


def _stage(version: Version, binary: bool) -> Stage:
    return Stage(f"source-{version.package}", texts={"version": json.dumps(asdict(version)), "binary": str(binary)})


def released(changelog: Path) -> int:
    """Seconds since 1970 of the newest entry of a Debian changelog. Raises UserError when it has no date."""
    text = tool.capture(["zcat", "-f", changelog])
    match = re.search(r"^ -- .*?  ([A-Z].*)$", text, re.MULTILINE)
    if match is None:
        raise UserError(f"{changelog}: no Debian changelog (valid: one with a ' -- name <mail>  date' line)")
    return int(email.utils.parsedate_to_datetime(match[1]).timestamp())
