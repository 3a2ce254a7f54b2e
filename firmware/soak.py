# SPDX-License-Identifier: MIT
"""A long capture under faults, each byte of which is looked at: `tests/emulated/programs/soak.c`, and who does wrong.

    found = soak.run(machine, target, mib=1024, seed=1)
    found.delivered_bytes, found.wrong_bytes, found.unaccounted_bytes

While the program captures on the board, the emulator is told to lose interrupts or to have them late, to fail and to
shorten transfers, to stall the DMA and to drop data (firmware/faults.py), one of them every tenth of a second, chosen
by the seed. When they happen depends on the host's speed: another run with the same seed has other losses. The service
must be off the device; see `fuzz.device`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from firmware import program
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.faults import Faults, Injected
from firmware.ssh import Target

MIB = 1 << 20
RATE = 80_000_000  # bytes a second, in every other capture than the first of four: the ring then runs over now and then
CAPTURE_MIB = 256
PAUSE_SECONDS = 0.1
COULD_NOT_RUN = 2


@dataclass(frozen=True)
class Outcome:
    """Sums over all captures, in bytes and blocks, what the emulator did wrong, and what the program complained of."""

    sums: dict[str, int]
    injected: Injected
    dropped_bytes: int
    said: str

    @property
    def delivered_bytes(self) -> int:
        """Bytes that were delivered and looked at."""
        return self.sums["bytes"]

    @property
    def wrong_bytes(self) -> int:
        """Bytes among them that are not the stream's next ones."""
        return self.sums["wrong"]

    @property
    def unaccounted_bytes(self) -> int:
        """Bytes between where the stream is and where the driver's reports say that it is."""
        return self.sums["unaccounted"]


def parse(line: str) -> dict[str, int]:
    """The sums of the program's last line. Raises ValueError when it is another one."""
    what, *cells = line.split() or [""]
    if what != "all":
        raise ValueError(f"soak: no sums in {line!r}")
    return {name: int(number) for name, _, number in (cell.partition("=") for cell in cells)}


def wrongs(faults: Faults, chance: random.Random) -> list[Callable[[], None]]:
    """What can be done wrong next."""
    dma = faults.msgdma
    return [
        lambda: dma.lose_interrupts(chance.randint(1, 40)),
        lambda: dma.delay_interrupts(chance.randint(1, 20), chance.randint(100_000, 60_000_000)),
        lambda: dma.fail(chance.randint(1, 5), 0x80),
        lambda: dma.shorten(chance.randint(1, 9), 4 * chance.randint(1, 65_000)),
        lambda: dma.stall(chance.randint(100_000, 50_000_000)),
        lambda: faults.source.drop(4 * chance.randint(1, 500_000)),
    ]


def _do_wrong(faults: Faults, seed: int, over: threading.Event) -> None:
    chance = random.Random(seed)  # noqa: S311  # to be made again, not to be secret
    while not over.wait(PAUSE_SECONDS):
        chance.choice(wrongs(faults, chance))()


def run(
    machine: Emulator, target: Target, mib: int, seed: int, timeout: float, say: Callable[[str], None] | None = None
) -> Outcome:
    """Capture `mib` MiB under faults; each capture's sums go to `say`. Raises TargetError: could not run, Late."""
    path = program.install(target, program.build(program.PROGRAMS / "soak.c", program.UAPI))
    faults, over = Faults(machine), threading.Event()
    before, dropped = faults.msgdma.injected(), faults.source.dropped_bytes
    culprit = threading.Thread(target=_do_wrong, args=(faults, seed, over))
    culprit.start()
    try:
        command = [path, str(mib), str(seed), str(RATE), str(min(mib, CAPTURE_MIB))]
        done = target.run(command, sudo=True, timeout=timeout, say=say)
    finally:
        over.set()
        culprit.join()
        heal(faults)
    if done.status >= COULD_NOT_RUN or done.status < 0:
        raise TargetError(target.name, f"soak: status {done.status}: {done.stderr.strip()}")
    happened = faults.msgdma.injected()
    injected = Injected(*(getattr(happened, name) - getattr(before, name) for name in Injected.__annotations__))
    last = (done.stdout.splitlines() or [""])[-1]
    return Outcome(parse(last), injected, faults.source.dropped_bytes - dropped, done.stderr.strip())


def heal(faults: Faults) -> None:
    """Nothing that was not done yet will be."""
    faults.msgdma.lose_interrupts(0)
    faults.msgdma.delay_interrupts(0, 0)
    faults.msgdma.fail(0)
    faults.msgdma.shorten(0, 4)
    faults.msgdma.stall(0)
    faults.source.drop(0)
