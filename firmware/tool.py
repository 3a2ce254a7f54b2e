# SPDX-License-Identifier: MIT
"""Run a host program: argv in, log file and `ToolError` out; never a shell string.

A long step shows its name and the seconds that it took; its output goes to a log whose tail travels with the failure.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from firmware.errors import ToolError, UserError

TAIL_LINES = 20


def need(program: str, package: str) -> str:
    """Path of `program`. Raises UserError that names the Debian `package` when it is missing."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise UserError(f"{program} is not installed (valid: install Debian's {package!r}, or run ./inv --setup)")
    return found


def run(
    command: Sequence[str | Path],
    log: Path | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    hint: str = "",
) -> None:
    """Run `command`, appending its output to `log`; `environment` adds to the caller's. Raises ToolError."""
    argv = [str(part) for part in command]
    if log is None:
        capture(argv, cwd=cwd, environment=environment)
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        done = subprocess.run(  # noqa: S603  # argv, no shell
            argv,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise ToolError(argv, done.returncode, tail(log), hint or f"whole log: {log}")


def capture(
    command: Sequence[str | Path], cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Standard output of `command`, as text. Raises ToolError with what it said on standard error."""
    argv = [str(part) for part in command]
    done = subprocess.run(  # noqa: S603  # argv, no shell
        argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",  # a name in somebody's file system may be of any bytes
        check=False,
    )
    if done.returncode:
        raise ToolError(argv, done.returncode, (done.stderr or done.stdout)[-2000:])
    return done.stdout


def attended(command: Sequence[str], cwd: Path | None = None) -> int:
    """Exit status of a program that has the user's terminal, and time to put things in order at Ctrl-C.

    Raises KeyboardInterrupt when it has ended then.
    """
    interrupted = False
    with subprocess.Popen(command, cwd=cwd) as process:  # noqa: S603  # argv, no shell
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
                if not sys.stdin.isatty():  # else the terminal has told it, too
                    process.send_signal(signal.SIGINT)
    if interrupted:
        raise KeyboardInterrupt
    return status


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Last lines of `log`."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print `name` while the block runs, and the seconds that it took."""
    started = time.monotonic()
    print(f"  {name} ...", file=sys.stderr, flush=True)
    yield
    print(f"  {name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
