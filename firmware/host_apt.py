# SPDX-License-Identifier: MIT
"""What the host's own apt settings say about Debian's mirrors: read, never changed.

Both formats are understood: deb822 (`*.sources`) and one line an entry (`*.list`), with options in brackets and with
`mirror+file:` addresses. An entry counts as Debian's when its component is `main`, its suite is one of Debian's and its
address ends with `debian` (or `debian-security`), as the addresses of Debian's mirrors do; a wrong guess can't do harm,
because Debian's signature is asked for. See sources.list(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import UserError

SUITE = re.compile(r"^(bullseye|bookworm|trixie|forky|sid|stable|testing|unstable|oldstable)(-updates|-security)?/?$")


@dataclass(frozen=True)
class Entry:
    """One source of packages: where, which suites, which components."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True)
class Mirror:
    """Addresses of Debian's archive and, if the host has one, of its security archive."""

    main: str
    security: str | None


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Paragraphs of a deb822 text: fields by lower-case name, continuation lines joined by newlines."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def parse_deb822(text: str) -> list[Entry]:
    """Entries of a `.sources` file; disabled ones are left out."""
    found = []
    for fields in paragraphs(text):
        if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
            continue
        if "uris" in fields and "suites" in fields:
            values = (tuple(fields.get(key, "").split()) for key in ("uris", "suites", "components"))
            found.append(Entry(*values))
    return found


def parse_one_line(text: str) -> list[Entry]:
    """Entries of a `.list` file: `deb [options] uri suite component ...`, comments and broken lines left out."""
    found = []
    for line in text.splitlines():
        match = re.match(r"^\s*deb(?:-src)?\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)", line)
        if match:
            found.append(Entry((match[1],), (match[2],), tuple(match[3].split())))
    return found


def entries(folder: Path = Path("/etc/apt")) -> list[Entry]:
    """All entries of the host, in apt's order."""
    found = []
    top = folder / "sources.list"
    for path in [top, *sorted((folder / "sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        parse = parse_deb822 if path.suffix == ".sources" else parse_one_line
        found += parse(path.read_text(encoding="utf-8", errors="replace"))
    return found


def mirror(known: Iterable[Entry]) -> Mirror:
    """Debian's mirror among `known`. Raises UserError when there is none: no address is assumed."""
    main = security = None
    for entry in known:
        if "main" not in entry.components or not any(SUITE.match(suite) for suite in entry.suites):
            continue
        for uri in entry.uris:
            archive = uri.rstrip("/").rsplit("/", 1)[-1].removesuffix(".list")
            if re.fullmatch(r"\d{8}T\d{6}Z", archive):  # a snapshot: .../debian/<time>
                archive = uri.rstrip("/").split("/")[-2]
            if uri.startswith(("cdrom:", "file:")):
                continue
            if archive == "debian":
                main = main or uri.rstrip("/")
            elif archive == "debian-security":
                security = security or uri.rstrip("/")
    if main is None:
        raise UserError(
            "the host's apt settings (/etc/apt/sources.list, /etc/apt/sources.list.d) name no mirror of Debian "
            "(valid: an entry with component main whose address ends with /debian)"
        )
    return Mirror(main, security)
