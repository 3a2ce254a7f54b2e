# SPDX-License-Identifier: MIT
"""The board under test, as the acceptance cases see it: commands over SSH, captures over TCP, bundles to install."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware import admission, engine, plot, receiver
from firmware import board as boards
from firmware.bundle import Inputs
from firmware.deploy import Offer
from firmware.errors import TargetError
from firmware.manifest import Manifest
from firmware.ssh import Target
from tests.acceptance.occupancy import Occupancy
from tests.acceptance.recorder import Recorder

# No limit here is what a case is about: an emulated board on a busy computer, under load of its own, takes its time.
COMMAND_SECONDS = 300.0
POLL = "for i in $(seq 1200); do {condition} && exit 0; sleep 0.1; done; capturectl status; exit 1"


@dataclass
class UnderTest:
    """`target` by SSH, `stream` (host, port) of the service, the `manifest` of the image that the board should run.

    `console` is the log of its UART, where one is recorded.
    """

    target: Target
    stream: tuple[str, int]
    manifest: Manifest
    folder: Path
    console: Path | None
    emulated: bool
    recorder: Recorder = field(default_factory=Recorder)

    def output(self, *command: str, sudo: bool = False, timeout: float = COMMAND_SECONDS) -> str:
        """Standard output of a command on the board."""
        return self.target.output(command, sudo=sudo, timeout=timeout)

    def slot(self) -> str:
        """Name of the slot that the board booted, from the kernel's command line."""
        found = re.search(r"rauc\.slot=(\w+)", self.output("cat", "/proc/cmdline"))
        assert found, "no rauc.slot= on the kernel's command line"
        return found[1]

    def status(self) -> dict[str, Any]:
        """Status of the capture service."""
        status: dict[str, Any] = json.loads(self.output("capturectl", "status", "--json", sudo=True))
        return status

    def control(self, *words: str, **options: Any) -> None:
        """A command of capturectl with `--name=value` options."""
        self.output("capturectl", *words, *(f"--{name}={value}" for name, value in options.items()), sudo=True)

    def wait_on_board(self, condition: str) -> None:
        """Wait, on the board, until the shell `condition` holds."""
        self.output("sh", "-c", POLL.format(condition=condition), sudo=True)

    def wait_for_clients(self, count: int) -> None:
        """Wait until the service has `count` clients."""
        self.wait_on_board(f"""capturectl status --json | grep -q '"clients": {count}[,}}]'""")

    def wait_until_idle(self) -> None:
        """Stop a running capture and wait until the service is idle."""
        self.target.run(["capturectl", "stop"], sudo=True)
        self.wait_on_board("""capturectl status --json | grep -q '"state": "idle"'""")

    def capture(self, pattern: str, rate: int, total: int) -> receiver.Reception:
        """Receive a capture of `total` bytes from its first byte to its end, checking the pattern on the way."""

        def start() -> None:
            self.wait_for_clients(1)
            self.control("start", pattern=pattern, rate=rate, bytes=total)

        what = f"{pattern} at {f'{rate / 1e6:g} MB/s' if rate else 'full speed'}"
        admission.admit(self.target)
        with self.recorder.step(f"receive {total / (1 << 20):g} MiB of {what}"), Occupancy(self.target) as ring:
            seen = receiver.receive(*self.stream, pattern=pattern, connected=start)
        self.recorder.plot(what, plot.throughput(seen))
        self.recorder.plot(what, plot.latency(seen))
        if ring.samples:
            self.recorder.plot(what, plot.occupancy(ring.samples, ring.blocks))
        return seen

    def quick_capture(self) -> None:
        """A short capture, as a deploy's acceptance. Raises TargetError when it is not whole."""
        seen = self.capture("counter", 0, 16 << 20)
        if not seen.whole:
            raise TargetError(self.target.name, str(seen))

    @property
    def bundle(self) -> Path:
        """The bundle of the image under test."""
        return self.manifest.path("bundle")

    def offer(self, made: Path, version: str) -> Offer:
        """An offer of the bundle `made`."""
        with made.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Offer(self.manifest.board, version, made, digest)

    def bundle_inputs(self) -> Inputs:
        """What the bundle of the image under test was made of: for variants of it."""
        return engine.bundle_inputs(boards.load(self.manifest.board))
