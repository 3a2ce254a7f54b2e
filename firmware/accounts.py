# SPDX-License-Identifier: MIT
"""Users and groups of a slot, written into `/etc/passwd` and its companions at build time: the root is read-only.

A recipe's system user gets a number that depends on its name alone (400 to 899, between Debian's two dynamic ranges),
so that files on the data partition keep their owner when another recipe comes or goes. Passwords are locked throughout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from firmware.errors import UserError
from firmware.recipe import SystemUser
from firmware.tree import Tree

OPERATOR = "operator"
OPERATOR_ID = 1000
ENGINEER, ENGINEER_ID = "engineer", 1001  # who may do less: recipes/base-system/files/sudoers
JOURNAL = "systemd-journal"  # Debian's group that may read all of the journal
FIRST_ID, IDS = 400, 500
FILES = ("passwd", "group", "shadow", "gshadow")
NEVER_CHANGED = "20000"  # days since 1970, the shadow file's "last change"; 0 would ask for a new password


def number(name: str) -> int:
    """User and group number of a recipe's system user or group."""
    return FIRST_ID + int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % IDS


def groups(users: Iterable[SystemUser]) -> list[str]:
    """Groups of the recipes' users, sorted; operator and engineer are in each of them."""
    return sorted({group for user in users for group in user.groups})


class Accounts:
    """The four files of `/etc`, read from a tree, to be written back."""

    def __init__(self, tree: Tree) -> None:
        """Read the accounts that Debian's packages made."""
        self._tree = tree
        self._lines = {name: tree.text(f"/etc/{name}").splitlines() for name in FILES}

    def _find(self, file: str, name: str) -> int | None:
        places = [i for i, line in enumerate(self._lines[file]) if line.split(":", 1)[0] == name]
        return places[0] if places else None

    def _free(self, file: str, name: str, wanted: int) -> None:
        taken = [line.split(":")[0] for line in self._lines[file] if line.split(":")[2] == str(wanted)]
        if taken:
            raise UserError(f"{name!r} would get number {wanted}, which belongs to {taken[0]!r} (valid: another name)")

    def add_group(self, name: str, wanted: int) -> int:
        """Number of group `name`, which is made when it is missing. Raises UserError: the number is taken."""
        place = self._find("group", name)
        if place is not None:
            return int(self._lines["group"][place].split(":")[2])
        self._free("group", name, wanted)
        self._lines["group"].append(f"{name}:x:{wanted}:")
        self._lines["gshadow"].append(f"{name}:*::")
        return wanted

    def add_member(self, group: str, user: str) -> None:
        """Put `user` into `group`, which exists."""
        for file in ("group", "gshadow"):
            place = self._find(file, group)
            if place is None:
                continue
            *head, members = self._lines[file][place].split(":")
            names = [name for name in members.split(",") if name]
            if user not in names:
                self._lines[file][place] = ":".join([*head, ",".join([*names, user])])

    def add_user(self, name: str, wanted: int, title: str, home: str, shell: str) -> None:
        """Make user `name` with a group of its own and a locked password, unless it is there."""
        if self._find("passwd", name) is not None:
            return
        self._free("passwd", name, wanted)
        group = self.add_group(name, wanted)
        self._lines["passwd"].append(f"{name}:x:{wanted}:{group}:{title}:{home}:{shell}")
        self._lines["shadow"].append(f"{name}:*:{NEVER_CHANGED}:0:99999:7:::")

    def lock(self) -> None:
        """Lock every password, and take the build's day out of the shadow file."""
        fields = [line.split(":") for line in self._lines["shadow"]]
        self._lines["shadow"] = [":".join([f[0], "*", NEVER_CHANGED, *f[3:]]) for f in fields]

    def write(self) -> None:
        """Write the four files back; Debian's backup copies of them go."""
        modes = {"passwd": 0o644, "group": 0o644, "shadow": 0o640, "gshadow": 0o640}
        place = self._find("group", "shadow")
        shadow = 0 if place is None else int(self._lines["group"][place].split(":")[2])
        for name, mode in modes.items():
            gid = shadow if mode == 0o640 else 0
            self._tree.file(f"/etc/{name}", "\n".join(self._lines[name]) + "\n", mode, gid=gid)
            self._tree.remove(f"/etc/{name}-")


def install(tree: Tree, users: Iterable[SystemUser]) -> None:
    """Make operator, engineer and all recipes' system users and groups; the two people are in each of these groups."""
    accounts = Accounts(tree)
    accounts.lock()
    accounts.add_user(OPERATOR, OPERATOR_ID, "Operator", f"/home/{OPERATOR}", "/bin/bash")
    accounts.add_user(ENGINEER, ENGINEER_ID, "Engineer", f"/home/{ENGINEER}", "/bin/bash")
    accounts.add_member(JOURNAL, ENGINEER)
    for user in sorted(users, key=lambda user: user.name):
        accounts.add_user(user.name, number(user.name), "", "/nonexistent", "/usr/sbin/nologin")
        for group in sorted(user.groups):
            accounts.add_group(group, number(group))
            accounts.add_member(group, user.name)
            accounts.add_member(group, OPERATOR)
            accounts.add_member(group, ENGINEER)
    accounts.write()
    tree.folder(f"/home/{OPERATOR}", 0o700, OPERATOR_ID)
    tree.folder(f"/home/{ENGINEER}", 0o700, ENGINEER_ID)
