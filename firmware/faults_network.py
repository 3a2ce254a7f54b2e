# SPDX-License-Identifier: MIT
"""Faults of the emulated network: the cable, and frames that are lost, damaged or late."""

from __future__ import annotations

from firmware.faults_device import Device, check

PER_MILLE = 1000
SEED_MAX = (1 << 32) - 1
DELAY_US_MAX = 10_000_000


class Network(Device):
    """The Ethernet controller and its cable. Rates are per mille of the frames, chosen by a seeded generator."""

    path = "/machine/emac"

    def unplug(self) -> None:
        """Pull the cable: the PHY loses its link, nothing comes or goes."""
        self.set("cable", False)

    def plug(self) -> None:
        """Put the cable in again."""
        self.set("cable", True)

    def lose(self, sent: int = 0, received: int = 0, seed: int = 1) -> None:
        """Lose frames on the wire, each way; the counts start over. Equal traffic and seed give equal losses."""
        self._rates({"loss-tx": sent, "loss-rx": received}, seed)

    def corrupt(self, received: int, seed: int = 1) -> None:
        """Let received frames have a bad checksum (FCS): the controller counts and drops them; counts start over."""
        self._rates({"corrupt-rx": received}, seed)

    def delay(self, microseconds: int) -> None:
        """A received frame is under way for so long, of virtual time."""
        check("microseconds of delay", microseconds, 0, DELAY_US_MAX)
        self.set("delay-rx", microseconds)

    def merge_acks(self, merge: bool) -> None:
        """Whether acknowledgements to a burst are joined (docs/emulator.md); never while frames are lost."""
        self.set("merge-acks", merge)

    @property
    def lost(self) -> tuple[int, int]:
        """Frames that were lost: sent, received. Those of an unplugged cable are among them."""
        return int(self.get("lost-tx")), int(self.get("lost-rx"))

    @property
    def corrupted(self) -> int:
        """Received frames that were given a bad checksum."""
        return int(self.get("corrupted-rx"))

    def heal(self) -> None:
        """Nothing is wrong any more; the counts stay."""
        for name in ("loss-tx", "loss-rx", "corrupt-rx", "delay-rx"):
            self.set(name, 0)
        self.merge_acks(True)
        self.plug()

    def _rates(self, rates: dict[str, int], seed: int) -> None:
        check("seed", seed, 0, SEED_MAX)
        for name, rate in rates.items():
            check(f"{name}, per mille", rate, 0, PER_MILLE)
        self.set("seed", seed)
        for name, rate in rates.items():
            self.set(name, rate)
