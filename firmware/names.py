# SPDX-License-Identifier: MIT
"""Names of what the upstream layers provide, so that a dependency on something unknown is refused at once.

`layers/upstream-names.txt` holds them, one a line under a heading: `[providers]` is what `DEPENDS` may name,
`[packages]` what `RDEPENDS` and `packages.yocto` of a recipe.yaml may name, `[dynamic]` patterns of packages that are
split at build time. Variants that follow a rule (`-native`, `-dev`, `-doc`, ...) are left out and accepted by it. The
list belongs to the lock: `./inv lock --names` makes it anew, from a mirror (`OE_MIRRORS`), by letting BitBake parse
everything.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from firmware import paths
from firmware.errors import ToolError, UserError

LIST = paths.ROOT / "layers" / "upstream-names.txt"
HEADER = """\
# SPDX-License-Identifier: MIT
# Written by ./inv lock --names: what the layers of upstream.yml provide at the commits of upstream.lock.yml.
"""
BUILD_VARIANTS = re.compile(r"^nativesdk-|-native$|-cross(-canadian)?(-\w+)?$|-crosssdk")
PACKAGE_VARIANTS = re.compile(
    r"-(dev|dbg|doc|src|staticdev|ptest|bash-completion|zsh-completion|locale.*)$|^nativesdk-|-native$"
)


@dataclass(frozen=True)
class Names:
    """What may be depended on."""

    providers: frozenset[str]
    packages: frozenset[str]
    dynamic: tuple[str, ...]

    def provides(self, name: str) -> bool:
        """Whether `DEPENDS` may name it."""
        return name in self.providers or BUILD_VARIANTS.sub("", name) in self.providers

    def packs(self, name: str) -> bool:
        """Whether `RDEPENDS` may name it."""
        base = PACKAGE_VARIANTS.sub("", name)
        return name in self.packages or base in self.packages or any(re.match(rule, name) for rule in self.dynamic)

    def close(self, name: str) -> list[str]:
        """Packages of a name much like it."""
        return difflib.get_close_matches(name, sorted(self.packages), n=3, cutoff=0.8)


@functools.cache
def load(path: Path = LIST) -> Names:
    """The committed list. Raises UserError when it is missing or no such list."""
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"no {path} (valid: the file as committed; ./inv lock --names makes it anew)") from error
    section: list[str] = []
    for line in lines:
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line)
    if {*found} != {"providers", "packages", "dynamic"}:
        raise UserError(f"{path}: sections {', '.join(found) or 'none'} (valid: providers, packages, dynamic)")
    return Names(frozenset(found["providers"]), frozenset(found["packages"]), tuple(found["dynamic"]))


def text(providers: Iterable[str], packages: Iterable[str], dynamic: Iterable[str]) -> str:
    """The list as it is written, without the variants that follow a rule from a name that is in it."""
    known, packed = {*providers}, {name for name in packages if name}
    known -= {name for name in known if (base := BUILD_VARIANTS.sub("", name)) != name and base in known}
    packed -= {name for name in packed if (base := PACKAGE_VARIANTS.sub("", name)) != name and base in packed}
    rules = sorted({rule for rule in dynamic if rule and not PACKAGE_VARIANTS.search(rule) and "/" not in rule})
    sections = {"providers": sorted(known), "packages": sorted(packed), "dynamic": rules}
    return HEADER + "".join(f"\n[{name}]\n" + "".join(f"{one}\n" for one in all_) for name, all_ in sections.items())


def collect() -> str:
    """The list, from BitBake's parse of the whole upstream layers. Raises UserError (no mirror), ToolError."""
    from firmware import openembedded

    folder = openembedded.mirror()
    if folder is None:
        raise UserError("OE_MIRRORS is not set (valid: a mirror as ./inv mirror fills it)")
    upstream = openembedded.trees(folder)
    with tempfile.TemporaryDirectory(prefix="names-") as scratch:
        conf = 'MACHINE = "qemuarm"\nINIT_MANAGER = "systemd"\nDISTRO_FEATURES:append = " rauc"\n'
        build = openembedded.BuildFolder(Path(scratch), upstream, [upstream[openembedded.RAUC]], conf)
        said = build.script(Path(__file__).with_name("names_collect.py"))
    lines = [line for line in said.text.splitlines() if line.startswith("{")]
    if said.status or not lines:
        raise ToolError(["names_collect.py"], said.status, said.text[-2000:])
    return text(**json.loads(lines[-1]))


def update() -> None:
    """Write the list anew."""
    new = collect()
    LIST.write_text(new, encoding="utf-8")
    load.cache_clear()
    print(f"{LIST}: {len(new.splitlines())} lines")
