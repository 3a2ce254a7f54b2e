# SPDX-License-Identifier: MIT
"""A lab's board through labgrid: its power and its console, where the lab has them (`./inv test --lg-env=lab.yaml`).

The file is a labgrid environment; its target `main` has a power driver, a console driver, or both. The board is
switched off and on before the suite, so that what is tested is a cold start, and its console is recorded from the first
byte on: by this module run as a program, as labgrid wants one thread only. docs/acceptance.md has an example.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labgrid import Environment
from labgrid.driver.exception import ExecutionError
from labgrid.exceptions import InvalidConfigError, NoDriverFoundError
from labgrid.protocol import ConsoleProtocol, PowerProtocol
from pexpect import EOF, TIMEOUT

from firmware import paths
from firmware.errors import TargetError, UserError

TARGET = "main"
READ_SECONDS = 0.5
PAUSE_SECONDS = 0.05  # some consoles answer at once when there is nothing
END_SECONDS = 10.0
FAILURES = (ExecutionError, InvalidConfigError, subprocess.CalledProcessError, OSError)


class Lab:
    """Power and console of one board of a lab; either may be missing."""

    def __init__(self, path: Path) -> None:
        """Read the environment at `path`. Raises UserError: no file, no environment, no target `main`, no driver."""
        if not path.is_file():
            raise UserError(f"--lg-env: no file {path} (valid: a labgrid environment, see docs/acceptance.md)")
        self._path = path
        try:
            target = Environment(str(path)).get_target(TARGET)
        except Exception as error:  # labgrid lets its YAML parser's and its own errors through
            raise UserError(f"{path}: {error} (valid: a labgrid environment, see docs/acceptance.md)") from error
        if target is None:
            raise UserError(f"{path}: no target {TARGET!r} (valid: targets: {TARGET}: with its drivers)")
        self._power, self._console = (_driver(target, kind) for kind in (PowerProtocol, ConsoleProtocol))
        if self._power is None and self._console is None:
            raise UserError(f"{path}: target {TARGET!r} has neither power nor console (valid: a driver of one of them)")

    @contextmanager
    def cold_start(self, log: Path) -> Iterator[Path | None]:
        """Off and on; the console goes to `log` until the block ends. What is given: `log`, or None without a console.

        Raises TargetError: the lab's switch or console does not work.
        """
        self._switch("off")
        if self._console is None:
            self._switch("on")
            yield None
            return
        with self._recorded(log):
            self._switch("on")
            yield log

    def _switch(self, state: str) -> None:
        if self._power is None:
            return
        try:
            self._power.target.activate(self._power)
            getattr(self._power, state)()
        except FAILURES as error:
            raise TargetError(str(self._path), f"the lab's power does not go {state}: {error}") from error

    @contextmanager
    def _recorded(self, log: Path) -> Iterator[None]:
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "firmware.lab", str(self._path.resolve()), str(log.resolve())]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=paths.ROOT, stdout=pipe, stderr=pipe, text=True) as recorder:  # noqa: S603
            if recorder.stdout is None or not recorder.stdout.readline():
                said = recorder.communicate()[1].strip().splitlines() or ["no reason given"]
                raise TargetError(str(self._path), f"the lab's console fails: {said[-1]}")
            try:
                yield
            finally:
                recorder.terminate()
                try:
                    recorder.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    recorder.kill()

    def record(self, log: Path) -> None:
        """Append the console to `log` until this process is terminated or the console goes."""
        console = self._console
        console.target.activate(console)
        with log.open("wb", buffering=0) as stream:
            print("recording", flush=True)
            while True:
                try:
                    said = console.read(size=4096, timeout=READ_SECONDS)
                except TIMEOUT:
                    continue
                except (EOF, ExecutionError, OSError) as error:
                    stream.write(f"\n(the console is gone: {error})\n".encode())
                    return
                stream.write(said)
                if not said:
                    time.sleep(PAUSE_SECONDS)


def _driver(target: Any, kind: type) -> Any:
    try:
        return target.get_driver(kind, activate=False)
    except NoDriverFoundError:
        return None


if __name__ == "__main__":
    Lab(Path(sys.argv[1])).record(Path(sys.argv[2]))
