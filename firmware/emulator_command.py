# SPDX-License-Identifier: MIT
"""QEMU's command line for one run of the emulated board: values in, words out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firmware import emulator_build, fpga
from firmware.board import STREAM_PORT, Board
from firmware.errors import UserError
from firmware.layout import MIB

LOOPBACK = "127.0.0.1"
SSH_PORT = 22
SHIFT_MAX = 10  # QEMU's own limit


@dataclass(frozen=True)
class Direct:
    """A kernel that is started at once, as the SPL would leave the machine, in place of what is on the card."""

    kernel: Path
    device_tree: Path
    initrd: Path
    append: str


@dataclass(frozen=True)
class Start:
    """How the board is powered on.

    `icount`: each instruction takes 2**icount ns of the guest's clock, both CPUs run in turns, and two runs give the
    same trace; None: the guest's clock is the host's. While both CPUs sleep the clock then jumps to the next event;
    with `sleep` it waits for the host's clock, as it must when somebody outside talks to the board at his own speed.
    `paused`: the first instruction waits for `Execution.pause_at` or `resume`. `snapshot`: what is written is forgotten
    at power-off, the card stays as it is. `detach`: the board outlives this program. `tftp`: a folder whose files the
    board may fetch by TFTP. Raises UserError.
    """

    detach: bool = False
    icount: int | None = None
    sleep: bool = False
    paused: bool = False
    snapshot: bool = False
    direct: Direct | None = None
    tftp: Path | None = None

    def __post_init__(self) -> None:
        """Check."""
        if self.icount is not None and not 0 <= self.icount <= SHIFT_MAX:
            raise UserError(f"icount {self.icount}: valid: 0 to {SHIFT_MAX}, an instruction takes 2**icount ns")
        if self.sleep and self.icount is None:
            raise UserError("sleep says how the clock of icount goes on (valid: together with icount)")

    def words(self) -> list[str]:
        """The words for QEMU."""
        argv = [word for word, wanted in (("-S", self.paused), ("-snapshot", self.snapshot)) if wanted]
        if self.icount is not None:
            argv += ["-icount", f"shift={self.icount},sleep={'on' if self.sleep else 'off'}"]
        if self.direct:
            direct = self.direct
            argv += ["-kernel", str(direct.kernel), "-dtb", str(direct.device_tree)]
            argv += ["-initrd", str(direct.initrd), "-append", direct.append]
        return argv


@dataclass(frozen=True)
class Plan:
    """What one run of QEMU depends on; the descriptor is a listening socket that it inherits."""

    board: Board
    shared_object: Path
    card: Path
    console: Path  # with .in and .out appended, where it reads and writes
    qmp_descriptor: int
    ssh_port: int
    stream_port: int
    start: Start = field(default_factory=Start)
    options: Mapping[str, str] = field(default_factory=dict)  # QOM property ("type.name") -> value


def properties(board: Board) -> dict[str, str]:
    """QOM properties that carry the board file's facts into the emulated fabric."""
    fabric, msgdma, copier = board.fabric, board.fabric.msgdma, board.fabric.copier
    part = fpga.PARTS[board.fpga]
    found = {
        "cyclone5-scanmgr.idcode": str(part.idcode),
        "cyclone5-fpgamgr.raw-bytes": str(part.raw_bytes),
        "cyclone5-fpgamgr.head-bytes": str(part.head_bytes),
        "cyclone5-adxl345.bus": str(board.accelerometer_i2c),
        "cyclone5-fabric.id": str(fabric.id),
        "cyclone5-fabric.sysid-offset": str(fabric.sysid.offset),
        "cyclone5-fabric.source-offset": str(fabric.source.offset),
        "cyclone5-fabric.csr-offset": str(msgdma.csr.offset),
        "cyclone5-fabric.descriptor-offset": str(msgdma.descriptor.offset),
        "cyclone5-fabric.response-offset": str(msgdma.response.offset),
        "cyclone5-fabric.interrupt": str(msgdma.interrupt),
        "cyclone5-msgdma.depth": str(msgdma.descriptor_depth),
    }
    if copier is not None:
        found |= {
            "cyclone5-fabric.copier-csr-offset": str(copier.csr.offset),
            "cyclone5-fabric.copier-descriptor-offset": str(copier.descriptor.offset),
            "cyclone5-fabric.copier-response-offset": str(copier.response.offset),
            "cyclone5-fabric.copier-interrupt": str(copier.interrupt),
            "cyclone5-fabric.copier-depth": str(copier.descriptor_depth),
        }
    return found


def plan(settings: Plan) -> list[str]:
    """QEMU's command line, without the program's name."""
    forward = "".join(
        f",hostfwd=tcp:{LOOPBACK}:{host}-:{guest}"
        for host, guest in ((settings.ssh_port, SSH_PORT), (settings.stream_port, STREAM_PORT))
    )
    argv = ["-machine", emulator_build.MACHINE, "-m", f"{settings.board.memory_bytes // MIB}M"]
    argv += ["-name", f"cyclone-capture-{settings.board.name}", "-nodefaults", "-no-user-config", "-display", "none"]
    argv += ["-plugin", f"file={_escape(settings.shared_object)}"]  # board/emulator/spin.c; the rest is preloaded
    argv += ["-drive", drive(settings.card)]
    tftp = f",tftp={_escape(settings.start.tftp)}" if settings.start.tftp else ""
    argv += ["-nic", f"user{forward}{tftp}"]
    argv += ["-chardev", f"pipe,id=console,path={_escape(settings.console)}", "-serial", "chardev:console"]
    argv += ["-chardev", f"socket,id=qmp,fd={settings.qmp_descriptor},server=on,wait=off"]
    argv += ["-mon", "chardev=qmp,mode=control"]
    argv += settings.start.words()
    for name, value in {**properties(settings.board), **settings.options}.items():
        argv += ["-global", f"{name}={value}"]
    return argv


def drive(card: Path) -> str:
    """QEMU's word for the card; also what a running emulator is recognised by."""
    return f"if=sd,format=raw,file={_escape(card)}"


def _escape(path: Path) -> str:
    return str(path).replace(",", ",,")
