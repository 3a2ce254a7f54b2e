# SPDX-License-Identifier: MIT
"""A board with two slots that is played, for the tests of `field-update`: it may lose its power before any action."""

from __future__ import annotations

import sys
from collections.abc import Callable

from firmware import paths

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import system
from field_update.environment import Finding
from field_update.system import Check, Failure


class PowerCut(Exception):
    """The power went."""


class SlottedBoard(system.System):
    """A board with two slots; `order` is U-Boot's BOOT_ORDER; it does its `cut`-th action no more."""

    def __init__(self, booted: str = "A") -> None:
        """Slot `booted` runs, healthy; RAUC installs what it is given."""
        self.slot, self.order, self.done = booted, [booted], list[str]()
        self.checks, self.install_error, self.settled = [Check("10-units", True, "")], "", ""
        self.clock, self.cut = 100.0, -1
        self.other_version, self.finding = "0.9", Finding([], [])
        self.journal_text = "the journal\n"
        self.stale = list[str]()  # names in U-Boot's environment
        self.bad = set[str]()
        self.damaged, self.boot_damage, self.unread_damage = "", "", ""  # seen by the boot; seen only when all is read

    def act(self, what: str) -> None:
        """Do `what`, unless the power goes before it."""
        if self.cut == len(self.done):
            raise PowerCut
        self.done.append(what)

    def booted(self) -> str:
        """The slot that runs."""
        return self.slot

    def other(self, booted: str) -> str:
        """The one that does not."""
        return {"A": "B", "B": "A"}[booted]

    def version_of(self, name: str) -> str:
        """What the other slot holds."""
        if not self.other_version:
            raise Failure(f"slot {name} holds no system")
        return self.other_version

    def mark(self, verb: str, which: str) -> None:
        """Change U-Boot's order."""
        self.act(f"{verb} {which}")
        slot = self.slot if which == "booted" else self.other(self.slot)
        self.bad -= {slot}
        if verb == "active":  # RAUC gives it its attempts back, bad or not
            self.order = [slot, *(name for name in self.order if name != slot)]
        elif verb == "bad":
            self.bad |= {slot}
            self.order = [name for name in self.order if name != slot]

    def install(self, url: str, say: Callable[[str], None]) -> None:
        """RAUC writes the other slot and makes it the first."""
        self.act("install")
        if self.install_error:
            raise Failure(self.install_error)
        self.mark("active", "other")

    def environment(self) -> Finding:
        """What the canary finds."""
        return self.finding

    def running(self) -> str:
        """What the running slot holds."""
        return "1.0"

    def renew_environment(self) -> list[str]:
        """What the new U-Boot needs in the environment."""
        renewed, self.stale = self.stale, []
        return renewed

    def damage(self) -> str:
        """What of the running slot is known to be damaged."""
        return self.damaged

    def read_boot(self) -> None:
        """What U-Boot has loaded is read."""
        self.damaged = self.damaged or self.boot_damage

    def is_good(self, name: str) -> bool:
        """Whether it is in U-Boot's order, or was never taken out."""
        return name not in self.bad

    def read_slot(self, gently: bool, limit: int) -> tuple[str, str]:
        """All of the running slot is read."""
        self.damaged = self.damaged or self.unread_damage
        return f"read{' gently' * gently}, up to {limit}", self.damaged

    def settle(self) -> str:
        """Why not all units are up."""
        return self.settled

    def health(self) -> list[Check]:
        """What the health checks say."""
        return self.checks

    def journal(self) -> str:
        """What this boot has said."""
        if not self.journal_text:
            raise Failure("journalctl: no journal")
        return self.journal_text

    def uptime(self) -> float:
        """Its clock."""
        return self.clock

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock += seconds

    def reboot(self) -> None:
        """The last thing it does."""
        self.act("reboot")

    def boots(self) -> None:
        """The board comes up again, in the first slot of the boot order."""
        self.slot, self.done, self.cut = self.order[0], [], -1
