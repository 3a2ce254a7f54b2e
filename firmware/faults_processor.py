# SPDX-License-Identifier: MIT
"""The emulated board's CPUs, which hang on demand, and the watchdog that ends it."""

from __future__ import annotations

from firmware.faults_device import Device


class Processor(Device):
    """The two CPUs."""

    path = "/machine/processor"

    def hang(self) -> None:
        """Stop both CPUs; time and devices go on. A reset of the board (a watchdog's, above all) ends it."""
        self.set("hang", True)

    def recover(self) -> None:
        """Let them go on where they stopped."""
        self.set("hang", False)

    @property
    def hangs(self) -> bool:
        """Whether they are stopped."""
        return bool(self.get("hang"))

    @property
    def halted(self) -> bool:
        """Whether the software has ended for good (Linux's halt and power-off do): the board needs a reset."""
        return bool(self.get("halted"))


class Watchdog(Device):
    """The first watchdog, L4WD0, which guards the board from U-Boot on: to look at, there is nothing to break."""

    path = "/machine/wdt[0]"

    @property
    def bites(self) -> int:
        """How often it has reset the board since power-on."""
        return int(self.get("bites"))

    @property
    def last_bite(self) -> int:
        """When it did so last, in nanoseconds of virtual time."""
        return int(self.get("last-bite"))

    @property
    def deadline(self) -> int:
        """When it will, unless it is petted, in nanoseconds of virtual time; 0: it does not count."""
        return int(self.get("deadline"))
