# SPDX-License-Identifier: MIT
"""What a capture costs, in guest instructions: the way out of the ring, and the driver itself, in one run of one board.

`tests/emulated/programs/cost.c` captures on the board and sends to a socket here; the emulated board counts the
instructions (firmware/execution.py) from the byte that lets it go to the end of its connection. Each way
is measured with few and with many blocks: the difference is the cost of the blocks, without that of begin and end.
Instructions are no time: they leave out what caches and memory do. They are good for ratios on one board, in one run.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from firmware import card, engine, fuzz, program, reach
from firmware.board import Board
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.execution import Execution
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target

MIB = 1 << 20
ICOUNT_SHIFT = 2  # 4 ns an instruction, as in tests/emulated/test_icount.py
HOST_FROM_BOARD = "10.0.2.2"  # the emulator's network: this computer's loopback
REPEATS = 3
SECONDS = 300.0
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Way:
    """A way of cost.c, with blocks of `block_bytes`, measured with `few` and with `many` of them.

    The cheaper a block, the more of them: what the kernel does meanwhile for others must not count.
    """

    name: str
    block_bytes: int = MIB
    few: int = 8
    many: int = 40


READ_SEND, COPY_SEND, MMAP_SEND = Way("read"), Way("copy"), Way("send")
ZEROCOPY, FORWARD, TAKE, BARE = Way("zerocopy"), Way("forward"), Way("none"), Way("bare", few=50, many=1050)
NETWORK, NETWORK_COPY = Way("network"), Way("network-copy")


def make_card(board: Board, path: Path, known: KnownHosts) -> None:
    """A card of the release image on which Linux starts no second CPU.

    Two CPUs that wait for each other execute instructions that no work needs, more or fewer from run to run. The
    argument gets to the kernel behind the host name, which U-Boot takes from the card's identity (templates/boot).
    """
    built = engine.build(board, Choice().engine)
    made = card.create(built.path("image"), path, card.Origin.of(built), known=known)
    environment = made.environment().replace(f"hostname={made.hostname}\n", f"hostname={made.hostname} maxcpus=1\n")
    card.write(path, [card.Entry("/identity/identity.env", environment.encode(), 0o644)])


@contextmanager
def booted(board: Board) -> Iterator[tuple[Emulator, Target]]:
    """The board with the release image, on, counting instructions, and nobody on its capture device."""
    with tempfile.TemporaryDirectory(prefix="cost-") as name:
        folder = Path(name)
        known, path = KnownHosts(folder / "known_hosts"), folder / "card.img"
        make_card(board, path, known)
        machine = Emulator(board, path, folder)
        machine.start(icount=ICOUNT_SHIFT, sleep=True)
        try:
            target = Target(reach.LOOPBACK, machine.ssh_port, known=known)
            reach.wait_until_up(reach.Reach(target, (reach.LOOPBACK, machine.stream_port), machine.console_log))
            with target, fuzz.device(target):
                yield machine, target
        finally:
            machine.stop()


class Meter:
    """Counts what ways cost on a running board that was started with `icount`."""

    def __init__(self, machine: Emulator, target: Target) -> None:
        """Put the program onto the board."""
        self._execution, self._target = Execution(machine), target
        self._path = program.install(target, program.build(program.PROGRAMS / "cost.c", program.UAPI))

    def per_block(self, way: Way) -> float:
        """Instructions a block: the smallest of some differences, since all that disturbs adds."""
        differences = (self.run(way, way.many) - self.run(way, way.few) for _ in range(REPEATS))
        return min(differences) / (way.many - way.few)

    def per_mib(self, way: Way) -> float:
        """Instructions a MiB."""
        return self.per_block(way) * MIB / way.block_bytes

    def run(self, way: Way, blocks: int) -> int:
        """Instructions of one run with so many blocks. Raises TargetError: it failed, or copied what it should not."""
        with socket.create_server((reach.LOOPBACK, 0)) as listener:
            port: int = listener.getsockname()[1]
            command = [self._path, way.name, str(blocks), str(way.block_bytes), HOST_FROM_BOARD, str(port)]
            said: list[str] = []
            runner = threading.Thread(target=lambda: said.append(self._run(command)))
            runner.start()
            try:
                received, instructions = self._receive(self._accept(listener, runner))
            finally:
                runner.join()
        wanted = 0 if way.name in (TAKE.name, BARE.name) else blocks * way.block_bytes
        if received != wanted or not said or "copied=0" not in said[0]:
            raise TargetError(self._target.name, f"cost {way.name}: {received} bytes of {wanted}; {''.join(said)}")
        return instructions

    def _accept(self, listener: socket.socket, runner: threading.Thread) -> socket.socket | None:
        listener.settimeout(1.0)
        while runner.is_alive():
            with suppress(TimeoutError):
                return listener.accept()[0]
        return None

    def _run(self, command: list[str]) -> str:
        done = self._target.run(command, sudo=True, timeout=SECONDS)
        return done.stdout if done.status == 0 else done.stderr

    def _receive(self, connection: socket.socket | None) -> tuple[int, int]:
        """Bytes and instructions up to the connection's end; None: the program ended before it connected."""
        buffer, received = bytearray(CHUNK_BYTES), 0
        if connection is None:
            return 0, 0
        connection.settimeout(SECONDS)
        with connection, self._execution.cost() as cost:
            connection.sendall(b"!")
            while count := connection.recv_into(buffer):
                received += count
        return received, cost.instructions
