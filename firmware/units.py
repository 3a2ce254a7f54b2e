# SPDX-License-Identifier: MIT
"""Enable systemd units in a tree at build time: the links that `systemctl enable` would make, from `[Install]`.

Done here because the host need not have systemd, and because the result must not depend on the host's version of it.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.errors import UserError
from firmware.tree import Tree

PLACES = ("/etc/systemd/system", "/usr/lib/systemd/system")
ADMIN = PLACES[0]
LINKED = {"WantedBy": "wants", "RequiredBy": "requires", "UpheldBy": "upholds"}


def find(tree: Tree, unit: str) -> str:
    """Path of the unit's file. Raises UserError when the tree has none."""
    for place in PLACES:
        path = f"{place}/{unit}"
        if path in tree and tree[path].kind == "file":
            return path
    raise UserError(f"unit {unit!r} is enabled by a recipe but not in the slot (valid: a unit file in {PLACES[1]})")


def install_section(text: str) -> dict[str, list[str]]:
    """Words of each key of the `[Install]` section; a key may come more than once."""
    section, found = "", dict[str, list[str]]()
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section == "[Install]" and "=" in line and line[0] not in "#;":
            key, value = line.split("=", 1)
            found.setdefault(key.strip(), []).extend(value.split())
    return found


def enable(tree: Tree, unit: str) -> None:
    """Make the links of `unit` and of those that its `Also=` names. Raises UserError: no such unit, no `[Install]`."""
    _enable(tree, unit, set())


def _enable(tree: Tree, unit: str, seen: set[str]) -> None:
    seen.add(unit)
    path = find(tree, unit)
    install = install_section(tree.text(path))
    if not install:
        raise UserError(f"{path} has no [Install] section: it cannot be enabled")
    for key, suffix in LINKED.items():
        for target in install.get(key, []):
            tree.link(f"{ADMIN}/{target}.{suffix}/{unit}", path)
    for alias in install.get("Alias", []):
        tree.link(f"{ADMIN}/{alias}", path)
    for other in install.get("Also", []):
        if other not in seen:
            _enable(tree, other, seen)


def forget_enabled(tree: Tree) -> None:
    """Remove what packages enabled when they were installed: a slot starts what its recipes name, nothing else."""
    for path in tree.below(ADMIN):
        if path in tree and tree[path].kind == "link":
            tree.remove(path)
    for path in reversed(tree.below(ADMIN)):
        if PurePosixPath(path).suffix in (".wants", ".requires") and not tree.below(path):
            tree.remove(path)
