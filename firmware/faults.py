# SPDX-License-Identifier: MIT
"""Faults of the emulated board, on demand: `Faults(emulator).card.read_error(sector=2048)`.

Each device of the emulated machine has its faults as QOM properties, which take effect at once, while the board runs;
they outlive a reset of the board, but not its power. docs/emulator.md lists them. One class is one device, in
`faults_card.py`, `faults_fabric.py`, `faults_network.py`, `faults_processor.py`. Raises TargetError when the board is
off, UserError when a value makes no sense.
"""

from __future__ import annotations

from firmware.emulator import Emulator
from firmware.faults_card import BLOCK_NS_MAX, Card, flip_bit, power_cut
from firmware.faults_device import FOR_GOOD
from firmware.faults_fabric import Copier, Injected, Msgdma, Source
from firmware.faults_network import Network
from firmware.faults_processor import Processor, Watchdog

__all__ = ["BLOCK_NS_MAX", "FOR_GOOD", "Card", "Faults", "Injected", "Network", "flip_bit", "power_cut"]


class Faults:
    """All faults of one emulated board, by device."""

    def __init__(self, emulator: Emulator) -> None:
        """Nothing is changed yet."""
        self.card = Card(emulator)
        self.source = Source(emulator)
        self.msgdma = Msgdma(emulator)
        self.copier = Copier(emulator)
        self.network = Network(emulator)
        self.processor = Processor(emulator)
        self.watchdog = Watchdog(emulator)
