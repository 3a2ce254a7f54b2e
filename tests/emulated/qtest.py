# SPDX-License-Identifier: MIT
"""The emulated machine without its CPUs: a test reads and writes registers, moves virtual time and sees interrupts.

    with qtest.powered(board, tmp_path) as machine:
        machine.writel(0xFF200044, 1)
        machine.clock_step(1_000_000)
        assert machine.raised(40)

QEMU's own qtest protocol (docs/devel/qtest in its manual). Debian leaves the accelerator `qtest` out of its package, so
it is compiled from Debian's own source of it, as the machine is, and preloaded as well. The machine starts in less than
0.1 s and an access takes some 50 us. Virtual time stands still but for `clock_step`; nothing executes. Without a card
the machine is as after `-kernel`: FPGA configured, bridges open, SDRAM at 0; with one, it is as the boot ROM leaves it.
Errors are TargetError: QEMU refuses a command, or has ended (with the end of its log). An access that nothing decodes
reads as 0 here and faults on a CPU only.
"""

from __future__ import annotations

import base64
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firmware import emulator_build, emulator_command, tool
from firmware.board import Board
from firmware.errors import TargetError
from firmware.layout import MIB
from firmware.qmp import Qmp
from firmware.stage import Stage

SECONDS = 60.0  # for one answer
BATCH = 200  # commands on their way at once: their answers fit into a socket's buffer
CODE = Path(__file__)


def accelerator() -> Path:
    """`qtest.so`, the accelerator, for the installed QEMU. Raises UserError (another QEMU) or ToolError."""
    qemu = emulator_build.installed()
    source = emulator_build.source(qemu)
    headers = emulator_build.headers_stage(source)
    # the stage's key: how it is compiled, not the whole of this file
    texts = {"flags": " ".join((*emulator_build.DIALECT, *emulator_build.WARNINGS)), "file": "accel/qtest/qtest.c"}

    def work(folder: Path) -> None:
        build = headers.make(lambda scratch: emulator_build.make_headers(source, scratch))
        flags = emulator_build.compile_flags(qemu.series, source.tree, build)
        flags += shlex.split(tool.capture(["pkg-config", "--cflags", *emulator_build.LIBRARIES]))
        code = source.tree / "accel/qtest/qtest.c"
        tool.run(["cc", *flags, "-w", "-shared", "-o", folder / "qtest.so", code], log=folder / "build.log")

    return Stage("emulator-qtest", texts=texts, after=(headers,)).make(work) / "qtest.so"


class Machine:
    """A machine under test. Addresses are the CPU's, times are nanoseconds of virtual time."""

    def __init__(self, qtest: socket.socket, qmp: Qmp, log: Path) -> None:
        """Take over the two connections; interrupts of the fabric and the peripherals are watched from now on."""
        self._socket, self._qmp, self._log = qtest, qmp, log
        self._socket.settimeout(SECONDS)
        self._lines = qtest.makefile("r", encoding="ascii")
        self._raised: set[int] = set()
        self.edges: dict[int, int] = {}  # interrupt -> how often it has been raised
        self.now = 0
        self.command(f"irq_intercept_in {self._gic()}")

    def qmp(self, command: str, **arguments: object) -> Any:
        """The answer to a QMP command, as `Emulator.qmp`."""
        return self._qmp(command, **arguments)

    def _gic(self) -> str:
        for child in self.qmp("qom-list", path="/machine/unattached"):
            if child["type"] == "child<a9mpcore_priv>":
                return f"/machine/unattached/{child['name']}"
        raise TargetError("qtest", "the machine has no a9mpcore_priv")

    def command(self, line: str) -> str:
        """The answer to one command, without its `OK`."""
        return self.commands([line])[0]

    def commands(self, lines: Sequence[str]) -> list[str]:
        """The answers to many commands: much faster than one by one."""
        answers: list[str] = []
        for first in range(0, len(lines), BATCH):
            part = lines[first : first + BATCH]
            try:
                self._socket.sendall(("\n".join(part) + "\n").encode("ascii"))
                answers += [self._answer(line) for line in part]
            except OSError as error:
                raise TargetError("qtest", f"{part[0]}: {error}\n{tool.tail(self._log)}") from error
        return answers

    def _answer(self, line: str) -> str:
        while True:
            words = self._lines.readline().split()
            if not words:
                raise TargetError("qtest", f"{line}: QEMU has ended\n{tool.tail(self._log)}")
            if words[0] == "IRQ":
                self._note(words[1], int(words[2]))
            elif words[0] == "OK":
                return " ".join(words[1:])
            else:
                raise TargetError("qtest", f"{line}: {' '.join(words)}")

    def _note(self, change: str, number: int) -> None:
        if change == "raise":
            self._raised.add(number)
            self.edges[number] = self.edges.get(number, 0) + 1
        else:
            self._raised.discard(number)

    def raised(self, interrupt: int) -> bool:
        """Is shared peripheral interrupt `interrupt` (GIC number less 32) high?"""
        return interrupt in self._raised

    def clock_step(self, ns: int | None = None) -> int:
        """Let `ns` pass, or as much as it takes to the next timer; all timers on the way run. The time then."""
        self.now = int(self.command("clock_step" if ns is None else f"clock_step {ns}"))
        return self.now

    def readb(self, address: int) -> int:
        """The byte at `address`."""
        return int(self.command(f"readb {address:#x}"), 0)

    def readw(self, address: int) -> int:
        """The 16-bit word at `address`."""
        return int(self.command(f"readw {address:#x}"), 0)

    def readl(self, address: int) -> int:
        """The 32-bit word at `address`."""
        return int(self.command(f"readl {address:#x}"), 0)

    def writeb(self, address: int, value: int) -> None:
        """Write a byte."""
        self.command(f"writeb {address:#x} {value:#x}")

    def writew(self, address: int, value: int) -> None:
        """Write a 16-bit word."""
        self.command(f"writew {address:#x} {value:#x}")

    def writel(self, address: int, value: int) -> None:
        """Write a 32-bit word."""
        self.command(f"writel {address:#x} {value:#x}")

    def read(self, address: int, count: int) -> bytes:
        """Memory: `count` bytes, at least 1, at `address`."""
        return base64.b64decode(self.command(f"b64read {address:#x} {count}"))

    def write(self, address: int, data: bytes) -> None:
        """Memory: put `data`, at least 1 byte, at `address`."""
        self.command(f"b64write {address:#x} {len(data)} {base64.b64encode(data).decode('ascii')}")

    def fill(self, address: int, count: int, byte: int) -> None:
        """Memory: `count` times `byte` at `address`."""
        self.command(f"memset {address:#x} {count} {byte:#x}")


def plan(board: Board, boot: Sequence[str], qtest: int, qmp: int, options: dict[str, str]) -> list[str]:
    """QEMU's command line, without the program's name; `qtest` and `qmp` are connected sockets that it inherits."""
    argv = ["-machine", emulator_build.MACHINE, "-accel", "qtest", "-m", f"{board.memory_bytes // MIB}M"]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", *boot]
    argv += ["-chardev", f"socket,id=qtest,fd={qtest}", "-qtest", "chardev:qtest", "-qtest-log", "none"]
    argv += ["-chardev", f"socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control"]
    for name, value in {**emulator_command.properties(board), **options}.items():
        argv += ["-global", f"{name}={value}"]
    return argv


def _control(connection: socket.socket, log: Path) -> Qmp:
    try:
        return Qmp(connection, "qtest")
    except TargetError as error:
        raise TargetError("qtest", f"QEMU did not start: {tool.tail(log) or error.said}") from error


@contextmanager
def powered(board: Board, folder: Path, card: Path | None = None, **options: str) -> Iterator[Machine]:
    """A machine that is on inside the block; `options` as in `emulator.Emulator`, its files go to `folder`."""
    preload = f"{emulator_build.build() / 'cyclone5.so'}:{accelerator()}"
    named = {name.replace("__", ".").replace("_", "-"): value for name, value in options.items()}
    kernel, log = folder / "nothing.bin", folder / "qemu.log"
    kernel.write_bytes(bytes(4096))
    boot = ["-kernel", str(kernel)] if card is None else ["-drive", emulator_command.drive(card)]
    ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
    qtest, qmp = theirs[0].fileno(), theirs[1].fileno()
    leash = (tool.need("setpriv", "util-linux"), "--pdeathsig", "KILL", "env", f"LD_PRELOAD={preload}")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*leash, emulator_build.QEMU, *plan(board, boot, qtest, qmp, named)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            pass_fds=(qtest, qmp),
        )
    for end in theirs:
        end.close()
    try:
        with ours[0], _control(ours[1], log) as control:
            yield Machine(ours[0], control, log)
    finally:
        process.kill()
        process.wait()
