# SPDX-License-Identifier: MIT
"""What the faults of all devices of the emulated board have in common: QOM properties of a running board."""

from __future__ import annotations

from typing import Any

from firmware.emulator import Emulator
from firmware.errors import UserError

FOR_GOOD = (1 << 64) - 1


def check(what: str, value: int, lowest: int, highest: int) -> None:
    """Raise UserError unless `value` is a number within the range."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise UserError(f"{what}: {value!r} (valid: {lowest} to {highest})")


class Device:
    """One device of the machine: its QOM path and its properties."""

    path = "/machine"

    def __init__(self, emulator: Emulator) -> None:
        """Faults of the running `emulator`."""
        self._emulator = emulator

    def set(self, name: str, value: object) -> None:
        """Set the property `name`."""
        self._emulator.qmp("qom-set", path=self.path, property=name, value=value)

    def get(self, name: str) -> Any:
        """The property `name`."""
        return self._emulator.qmp("qom-get", path=self.path, property=name)
