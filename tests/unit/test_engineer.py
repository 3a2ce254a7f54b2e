# SPDX-License-Identifier: MIT
"""What `engineer` may do: by sudo nothing that a wildcard, an argument or a search path would widen; no tunnel."""

from __future__ import annotations

import re

import pytest

from firmware import accounts, paths

pytestmark = pytest.mark.unit
FILES = paths.ROOT / "recipes/base-system/files"
TEXT = (FILES / "sudoers").read_text(encoding="utf-8")
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def commands(user: str) -> list[str]:
    """What `user` may run, as it is listed."""
    (rule,) = [line for line in LINES if line.startswith(f"{user} ")]
    as_whom, listed = rule.removeprefix(f"{user} ALL=").split("NOPASSWD:")
    assert as_whom.strip() == "(root)"
    return [" ".join(each.split()) for each in listed.split(",")]


@pytest.mark.parametrize("command", commands(accounts.ENGINEER))
def test_command_is_whole(command: str) -> None:
    """sudo takes a command without arguments with any, and `*` for any text, blanks and all."""
    assert re.fullmatch(r"(/[a-z-]+)+( [a-z.-]+)+", command), f"{command!r}: path, its arguments, no wildcard"


@pytest.mark.parametrize("word", ["install", "boot-loader", "factory-reset", "data", "boot", "--reason", "--wait"])
def test_what_is_left_to_operator(word: str) -> None:
    assert not [command for command in commands(accounts.ENGINEER) if word in command.split()]


def test_programs_that_a_command_starts_are_the_systems() -> None:
    """Else sudo keeps the caller's PATH, and `field-update` would start the caller's `rauc` as root.

    Debian's /etc/sudoers says so, too; not every distribution's does.
    """
    (line,) = [line for line in LINES if "secure_path" in line]
    assert line == 'Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"'


def test_no_tunnel_of_any_kind() -> None:
    """OpenSSH has a setting for ports, and another one for sockets in the file system."""
    block = (FILES / "sshd.conf").read_text(encoding="utf-8").partition("Match User engineer\n")[2]
    assert {"AllowTcpForwarding no", "AllowStreamLocalForwarding no"} <= {line.strip() for line in block.splitlines()}
