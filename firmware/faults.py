# SPDX-License-Identifier: MIT
"""Faults of the emulated board, on demand: `Faults(emulator).card.read_error(sector=2048)`.

Each device of the emulated machine has its faults as QOM properties, which take effect at once, while the board runs;
they outlive a reset of the board, but not its power. docs/emulator.md lists them. One class here is one device.
Raises TargetError when the board is off, UserError when a value makes no sense.
"""

from __future__ import annotations

from typing import Any

from firmware.emulator import Emulator


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


class Card(Device):
    """The SD card and its controller."""

    path = "/machine/sdmmc"


class Source(Device):
    """The capture source in the fabric."""

    path = "/machine/fabric/source"


class Msgdma(Device):
    """The mSGDMA in the fabric."""

    path = "/machine/fabric/msgdma"


class Network(Device):
    """The Ethernet controller and its cable."""

    path = "/machine/emac"


class Processor(Device):
    """The two CPUs."""


class Faults:
    """All faults of one emulated board, by device."""

    def __init__(self, emulator: Emulator) -> None:
        """Nothing is changed yet."""
        self.card = Card(emulator)
        self.source = Source(emulator)
        self.msgdma = Msgdma(emulator)
        self.network = Network(emulator)
        self.processor = Processor(emulator)
