# SPDX-License-Identifier: MIT
"""A fleet: the boards of `fleet.yaml`, by group and tag, and in which waves an upgrade goes out to them.

    board: de0-nano-soc          # what all of them are
    acceptance: capture          # or health: the board's own checks decide (the only one behind a jump host)
    canaries: 1                  # so many boards go first, those tagged `canary` before others; one failure ends it
    wave: 20                     # boards of each wave behind them
    concurrency: 20              # boards at a time
    stop_share: 0.1              # of the boards tried so far: when more have failed, no further wave begins
    groups:
      hall-a:
        jump: gate.example.org   # [user@]name[:port], pinned like a board; optional
        tags: [outdoor]
        hosts: [board-1, board-2:2222, {host: board-3, tags: [canary]}]

Raises UserError for a file that is not so, with file, key and what is valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from firmware import yaml_file
from firmware.board import Strict
from firmware.choice import Host, parse_host
from firmware.errors import UserError

CANARY = "canary"
Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


def _is_host(text: str) -> str:
    try:
        alone = parse_host(text).jump is None  # a jump host that stands here would be gone by in silence
    except UserError:
        alone = False
    if not alone:
        raise ValueError(f"{text!r} is no host of a fleet (valid: [user@]name[:port]; one to go through: group's jump)")
    return text


Address = Annotated[str, AfterValidator(_is_host)]


class Entry(Strict):
    """A host, with tags of its own or just its name."""

    host: Address
    tags: list[Tag] = []

    @model_validator(mode="before")
    @classmethod
    def _just_a_name(cls, given: Any) -> Any:
        return {"host": given} if isinstance(given, str) else given


class Group(Strict):
    """Boards that have something in common."""

    hosts: Annotated[list[Entry], Field(min_length=1)]
    tags: list[Tag] = []
    jump: Address | None = None


class Fleet(Strict):
    """The whole file."""

    board: str
    acceptance: Literal["capture", "health"] = "capture"
    canaries: Annotated[int, Field(ge=0)] = 1
    wave: Annotated[int, Field(ge=1)] = 20
    concurrency: Annotated[int, Field(ge=1, le=500)] = 20
    stop_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    groups: Annotated[dict[Tag, Group], Field(min_length=1)]


@dataclass(frozen=True)
class Member:
    """One board of a fleet."""

    host: Host
    group: str
    tags: frozenset[str]
    jump: Host | None = None

    @property
    def name(self) -> str:
        """How it is called in tables and files."""
        return self.host.name if self.host.port == 22 else f"{self.host.name}:{self.host.port}"


def load(path: Path) -> Fleet:
    """The fleet in the file `path`."""
    try:
        found = yaml_file.load(path, Fleet)
    except OSError as error:
        raise UserError(f"no fleet {path}: {error.strerror} (valid: a file as docs/upgrade.md shows)") from error
    try:
        members(found)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    behind = [name for name, group in found.groups.items() if group.jump]
    if behind and found.acceptance == "capture":
        raise UserError(
            f"{path}: acceptance: capture needs the boards' stream, which {', '.join(behind)} hide behind a jump host "
            "(valid: acceptance: health)"
        )
    return found


def members(fleet: Fleet, group: str = "", tag: str = "") -> list[Member]:
    """The boards, of one `group` or with one `tag` if given, in the file's order; each once."""
    if group and group not in fleet.groups:
        raise UserError(f"--group: no group {group!r} (valid: {', '.join(fleet.groups)})")
    found: list[Member] = []
    for name, each in fleet.groups.items():
        jump = parse_host(each.jump) if each.jump else None
        for entry in each.hosts:
            found.append(Member(parse_host(entry.host), name, frozenset([*each.tags, *entry.tags]), jump))
    names = [member.name.lower() for member in found]  # as the network sees them
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{', '.join(twice)}: more than once in the fleet (valid: each board once)")
    tags = sorted({each for member in found for each in member.tags})
    if tag and tag not in tags:
        raise UserError(f"--tag: no board has the tag {tag!r} (valid: {', '.join(tags) or 'none is given'})")
    return [m for m in found if (not group or m.group == group) and (not tag or tag in m.tags)]


def waves(fleet: Fleet, chosen: list[Member]) -> list[list[Member]]:
    """The boards by wave, the canaries first."""
    order = sorted(chosen, key=lambda member: CANARY not in member.tags)  # stable: the file's order within
    first, rest = order[: fleet.canaries], order[fleet.canaries :]
    behind = [rest[at : at + fleet.wave] for at in range(0, len(rest), fleet.wave)]
    return [first, *behind] if first else behind


def stopped(fleet: Fleet, wave: int, tried: int, failed: int) -> str:
    """Why no further wave begins after wave `wave` (0: the canaries, if there are any); empty when it does."""
    if wave == 0 and fleet.canaries and failed:
        return f"{failed} of {tried} canaries failed (valid: none)"
    if tried and failed / tried > fleet.stop_share:
        return f"{failed} of {tried} boards failed (valid: a share of at most {fleet.stop_share:g})"
    return ""
