# SPDX-License-Identifier: MIT
"""Accounts: a taken number is refused, nobody has a password, numbers depend on names alone."""

from __future__ import annotations

import pytest

from firmware import accounts
from firmware.errors import UserError
from firmware.recipe import SystemUser
from firmware.tree import Tree

pytestmark = pytest.mark.unit


def make(extra: str = "") -> Tree:
    slot = Tree(1)
    slot.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n" + extra)
    slot.file("/etc/group", "root:x:0:\nshadow:x:42:\nsystemd-journal:x:999:\n")
    slot.file("/etc/shadow", "root:$y$secret:20777:0:99999:7:::\ndaemon:!:20777:0:99999:7:::\n")
    slot.file("/etc/gshadow", "root:*::\nshadow:*::\n")
    slot.file("/etc/passwd-", "old")
    return slot


def test_number_that_is_taken_is_refused() -> None:
    number = accounts.number("captured")
    slot = make(f"other:x:{number}:{number}::/:/bin/sh\n")
    with pytest.raises(UserError, match=r"'captured' would get number \d+, which belongs to 'other'"):
        accounts.install(slot, [SystemUser(name="captured")])


def test_no_password_is_left_and_no_day_of_the_build() -> None:
    slot = make()
    accounts.install(slot, [SystemUser(name="captured", groups=["capture"])])
    lines = [line.split(":") for line in slot.text("/etc/shadow").splitlines()]
    assert {fields[0] for fields in lines} == {"root", "daemon", "operator", "engineer", "captured"}
    assert {fields[1] for fields in lines} == {"*"}
    assert {fields[2] for fields in lines} == {accounts.NEVER_CHANGED}
    assert (slot["/etc/shadow"].mode, slot["/etc/shadow"].gid) == (0o640, 42)
    assert "/etc/passwd-" not in slot


def test_users_and_groups_are_there_once_whoever_names_them() -> None:
    slot = make()
    user = SystemUser(name="captured", groups=["capture"])
    accounts.install(slot, [user, user])
    passwd, group = slot.text("/etc/passwd"), slot.text("/etc/group")
    assert passwd.count("captured:") == 1
    assert f"captured:x:{accounts.number('captured')}:" in passwd
    assert "/usr/sbin/nologin" in passwd.splitlines()[-1]
    assert f"capture:x:{accounts.number('capture')}:captured,operator,engineer" in group.splitlines()
    assert "operator:x:1000:1000:Operator:/home/operator:/bin/bash" in passwd.splitlines()
    assert slot["/home/operator"].uid == 1000
    assert "engineer:x:1001:1001:Engineer:/home/engineer:/bin/bash" in passwd.splitlines()
    assert slot["/home/engineer"].uid == 1001
    assert "systemd-journal:x:999:engineer" in group.splitlines()


@pytest.mark.parametrize("name", ["captured", "capture", "field-update", "x1"])
def test_numbers_are_between_the_ranges_of_debian(name: str) -> None:
    assert 400 <= accounts.number(name) < 900
