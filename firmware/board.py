# SPDX-License-Identifier: MIT
"""A board: one hardware target, read from `board/<name>.yaml`, checked, and frozen.

The file is strict (`firmware/yaml_file.py`): an unknown key, an address outside the lightweight bridge, an overlapping
register window or an odd block size is a `UserError` that names file, key, value and what is valid. All sizes are
bytes; addresses and offsets are integers (`0x...` in YAML). Register windows are offsets into the lightweight
HPS-to-FPGA bridge, 0xff200000, 2 MiB (Cyclone V HPS Technical Reference Manual, "HPS-FPGA Bridges"); FPGA interrupt n
is GIC SPI 40 + n (same manual, "Interrupt Controller").
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from firmware import paths, yaml_file
from firmware.errors import UserError
from firmware.fpga import Name as Part

PAGE_BYTES = 4096
BRIDGE_BASE = 0xFF200000
BRIDGE_BYTES = 0x200000
FABRIC_SPI_BASE = 40
FABRIC_INTERRUPTS = 64
# where memory may be set aside for the ring: behind what U-Boot and the kernel unpack, and with a fixed place in the
# kernel's address space (lowmem: 768 MiB less vmalloc's guard)
RESERVED_BEGIN, RESERVED_END = 0x10000000, 0x2F800000
MSGDMA_BYTES = {"csr": 0x20, "descriptor": 0x20, "response": 0x8}  # of the core's register windows
LEAST_BYTES = {"sysid": 0x8, "source": 0x28}  # registers that the driver reads (docs/interfaces.md)
DEFAULT_BOARD = "de0-nano-soc"
STREAM_PORT = 7700  # TCP port of the capture service, on every board

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")]


class Strict(BaseModel):
    """Base of all parts: frozen, unknown keys are errors, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Window(Strict):
    """A register window in the lightweight bridge: `offset` and `bytes`, both multiples of 4."""

    offset: Annotated[int, Field(ge=0, lt=BRIDGE_BYTES, multiple_of=4)]
    bytes: Annotated[int, Field(gt=0, le=BRIDGE_BYTES, multiple_of=4)]

    @property
    def address(self) -> int:
        """Physical address of the first register."""
        return BRIDGE_BASE + self.offset

    @property
    def end(self) -> int:
        """Offset of the first byte behind the window."""
        return self.offset + self.bytes


class Msgdma(Strict):
    """An mSGDMA with extended descriptors (Embedded Peripherals IP User Guide, "Modular Scatter-Gather DMA Core")."""

    csr: Window
    descriptor: Window
    response: Window
    interrupt: Annotated[int, Field(ge=0, lt=FABRIC_INTERRUPTS)]
    descriptor_depth: Annotated[int, Field(ge=8, le=1024)]

    @property
    def spi(self) -> int:
        """GIC shared peripheral interrupt number."""
        return FABRIC_SPI_BASE + self.interrupt

    @model_validator(mode="after")
    def _windows_are_the_cores(self) -> Msgdma:
        for key, size in MSGDMA_BYTES.items():
            given = getattr(self, key).bytes
            if given != size:
                raise ValueError(f"{key}.bytes is {given:#x} (valid: {size:#x}, as the core has it)")
        return self


class Fabric(Strict):
    """What the FPGA is configured with: its identity and its register windows.

    `msgdma` writes the samples to memory; `copier`, if there is one, moves from memory to memory. `provider` is what
    the driver fills the ring by: the mSGDMA itself, or mainline's dmaengine driver for it. `coherent`: the mSGDMA
    masters the accelerator coherency port, so no cache needs to be told of it.
    """

    id: Annotated[int, Field(gt=0, le=0xFFFFFFFF)]
    sysid: Window
    source: Window
    msgdma: Msgdma
    copier: Msgdma | None = None
    provider: Literal["msgdma", "dmaengine"] = "msgdma"
    coherent: bool = False

    def windows(self) -> dict[str, Window]:
        """All register windows by their key in the board file."""
        found = {"sysid": self.sysid, "source": self.source}
        for key, core in (("msgdma", self.msgdma), ("copier", self.copier)):
            if core is not None:
                found |= {f"{key}.{window}": getattr(core, window) for window in MSGDMA_BYTES}
        return found

    @model_validator(mode="after")
    def _interrupts_differ(self) -> Fabric:
        if self.copier is not None and self.copier.interrupt == self.msgdma.interrupt:
            raise ValueError(f"copier.interrupt is {self.copier.interrupt}, that of msgdma (valid: another one)")
        return self

    @model_validator(mode="after")
    def _windows_fit(self) -> Fabric:
        for key, least in LEAST_BYTES.items():
            if (given := self.windows()[key].bytes) < least:
                raise ValueError(f"{key}.bytes is {given:#x} (valid: {least:#x} or more, see docs/interfaces.md)")
        placed = sorted(self.windows().items(), key=lambda item: item[1].offset)
        for key, window in placed:
            if window.end > BRIDGE_BYTES:
                raise ValueError(f"{key} ends at {window.end:#x}, outside the bridge (valid: up to {BRIDGE_BYTES:#x})")
        for (key, window), (other_key, other) in itertools.pairwise(placed):
            if window.end > other.offset:
                raise ValueError(
                    f"{key} [{window.offset:#x}, {window.end:#x}) overlaps {other_key} "
                    f"[{other.offset:#x}, {other.end:#x}) (valid: windows that share no address)"
                )
        return self


class Ring(Strict):
    """The driver's set of blocks: `blocks` DMA buffers of `block_bytes`, any multiple of the page size.

    `address`: set aside the memory from there on, at boot, for nothing else. Left out: any free pages.
    """

    block_bytes: Annotated[int, Field(ge=65536, le=16 << 20, multiple_of=PAGE_BYTES)]
    blocks: Annotated[int, Field(ge=2, le=1024)]
    address: Annotated[int, Field(ge=RESERVED_BEGIN, lt=RESERVED_END, multiple_of=1 << 20)] | None = None

    @property
    def bytes(self) -> int:
        """Size of all blocks together."""
        return self.blocks * self.block_bytes


class Hawkbit(Strict):
    """The Eclipse hawkBit server that the boards ask for upgrades by themselves (docs/upgrade.md).

    `address` is for a network without a name server: it goes into the boards' `/etc/hosts`. `token` says which of
    hawkBit's tokens lies on a board's data partition. `stream`: RAUC reads the bundle by ranges, with no copy on data.
    """

    server: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?$")]
    address: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")] | None = None
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = "DEFAULT"
    token: Literal["target", "gateway"] = "target"  # noqa: S105  # which one, not what it is
    stream: bool = False

    @property
    def host(self) -> str:
        """The server without its port."""
        return self.server.partition(":")[0]


class Board(Strict):
    """One hardware target. `device_tree` is mainline Linux's name, without `.dts`.

    `accelerometer_i2c` is the number of the I2C controller that the board's ADXL345 hangs on.
    """

    name: Name
    title: Annotated[str, Field(min_length=1)]
    device_tree: Annotated[str, Field(pattern=r"^socfpga_cyclone5_[a-z0-9_]+$")]
    u_boot_defconfig: Annotated[str, Field(pattern=r"^socfpga_[a-z0-9_]+_defconfig$")]
    memory_bytes: Annotated[int, Field(ge=256 << 20, le=4 << 30, multiple_of=1 << 20)]
    fpga: Part
    accelerometer_i2c: Annotated[int, Field(ge=0, le=3)]
    fabric: Fabric
    ring: Ring
    hawkbit: Hawkbit | None = None

    @model_validator(mode="after")
    def _ring_fits_memory(self) -> Board:
        wanted, limit = self.ring.bytes, self.memory_bytes // 4
        if wanted > limit:
            raise ValueError(
                f"ring.blocks x ring.block_bytes is {wanted} (valid: at most a quarter of memory, {limit})"
            )
        end, top = (self.ring.address or 0) + wanted, min(self.memory_bytes, RESERVED_END)
        if end > top:
            raise ValueError(f"ring.address: the ring ends at {end:#x} (valid: up to {top:#x})")
        return self


def names(folder: Path = paths.BOARDS) -> list[str]:
    """Names of the boards that have a file in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load(name: str, folder: Path = paths.BOARDS) -> Board:
    """Board `name` from its file in `folder`. Raises UserError: unknown board, broken YAML, a bad value."""
    if name not in names(folder):
        raise UserError(f"unknown board {name!r} (valid: {', '.join(names(folder)) or 'none, no board file found'})")
    path = folder / f"{name}.yaml"
    board = yaml_file.load(path, Board)
    if board.name != name:
        raise UserError(f"{path}: name: {board.name!r} is not the file's name (valid: {name!r})")
    return board
