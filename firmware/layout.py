# SPDX-License-Identifier: MIT
"""The card's layout: the one place for partition offsets and sizes; everything else is rendered from here.

    MBR | p1 type 0xA2: SPL x4 + U-Boot | raw: redundant U-Boot environment | p2 slot A | p3 slot B | p4 data

All values are bytes. The boot ROM looks for the first 0xA2 entry among the four primary partitions and reads up to four
SPL copies, 64 KiB apart, from its start (Cyclone V HPS Technical Reference Manual, appendix A, "SD/MMC Flash Devices");
U-Boot follows them at 256 KiB. `data` is last so that it can grow to the end of the card on first boot.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
SECTOR_BYTES = 512

SPL_COPIES = 4
SPL_BYTES = 64 * KIB
U_BOOT_OFFSET = SPL_COPIES * SPL_BYTES  # in the 0xA2 partition
U_BOOT_OFFSETS = (U_BOOT_OFFSET, 2 * MIB)  # a new U-Boot goes to the place that does not boot (docs/upgrade.md)
ENVIRONMENT_OFFSETS = (8 * MIB, 8 * MIB + 64 * KIB)
ENVIRONMENT_BYTES = 64 * KIB
BOOT_ATTEMPTS = 3
CARD_DEVICE = "/dev/mmcblk0"
VERITY_MARK = "/boot/verity"  # a slot that has it has a hash tree (firmware/verity.py)


@dataclass(frozen=True)
class Partition:
    """One primary partition: `number` as Linux and U-Boot count, MBR `type`, `offset` and `size` in bytes."""

    number: int
    name: str
    type: int
    offset: int
    size: int

    @property
    def device(self) -> str:
        """Linux block device on the board."""
        return f"{CARD_DEVICE}p{self.number}"

    @property
    def end(self) -> int:
        """Offset of the first byte behind the partition."""
        return self.offset + self.size


SLOT_BYTES = 512 * MIB
BOOT = Partition(1, "boot", 0xA2, 1 * MIB, 4 * MIB)
SLOT_A = Partition(2, "A", 0x83, 16 * MIB, SLOT_BYTES)
SLOT_B = Partition(3, "B", 0x83, 16 * MIB + SLOT_BYTES, SLOT_BYTES)
DATA = Partition(4, "data", 0x83, 16 * MIB + 2 * SLOT_BYTES, 64 * MIB)
PARTITIONS = (BOOT, SLOT_A, SLOT_B, DATA)
SLOTS = {"A": SLOT_A, "B": SLOT_B}
IMAGE_BYTES = DATA.end
