# SPDX-License-Identifier: MIT
"""The release build: kas sets the layers up, BitBake builds, and this shows how far it is.

`command` is pure: board and wishes in, argv and environment out. `run` starts it, follows BitBake's event log and
prints a line now and then; a failure is a ToolError with recipe, task and the lines of its log that matter. Ctrl-C
lets the running tasks finish, a second one stops them; the next build goes on from there. What BitBake itself says
goes to `build/<board>/kas/kas.log`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware import lock, paths, rendering, signing, tool
from firmware.board import Board
from firmware.errors import ToolError, UserError
from firmware.events import Reader, State

EVERY = 10.0  # seconds between two lines
POLL = 0.5
DEBUG = "layers/kas/debug.yml"


@dataclass(frozen=True)
class Wishes:
    """What of the build is wanted: one `target` alone, the kernel's flavour for tests, a shell instead."""

    target: str | None = None
    debug: bool = False
    shell: bool = False


@dataclass(frozen=True)
class Command:
    """A kas command line, and what is added to the environment."""

    argv: list[str]
    environment: dict[str, str]
    folder: Path

    @property
    def log(self) -> Path:
        """What kas and BitBake print."""
        return self.folder / "kas.log"

    @property
    def events(self) -> Path:
        """BitBake's event log."""
        return self.folder / "events.json"


def folder(board: Board) -> Path:
    """Where kas works: layers, build folder, logs."""
    return paths.BUILD / board.name / "kas"


def command(board: Board, wishes: Wishes, version: str, signer: signing.Signer, given: Mapping[str, str]) -> Command:
    """The command for `board`; what `given` (the environment) says about keys, version and mirrors holds."""
    if signer.command or signer.recipients:
        raise UserError(
            "the Yocto engine signs with a certificate and a key (valid: without CYCLONE_CAPTURE_SIGN_COMMAND and "
            "CYCLONE_CAPTURE_RECIPIENTS; ./inv build --engine=debian knows them)"
        )
    place = folder(board)
    files = [str(rendering.folder(board) / "yocto" / "kas.yml"), *([str(paths.ROOT / DEBUG)] if wishes.debug else [])]
    argv = [str(Path(sys.executable).with_name("kas"))]
    if wishes.shell:
        argv += ["shell", ":".join(files)]
    else:  # kas takes no option behind its file
        argv += ["build", f"--target={wishes.target}" if wishes.target else "--provenance=mode=min", ":".join(files)]
        argv += ["--", "--write-log", str(place / "events.json")]
    own = {
        "KAS_WORK_DIR": str(place),
        "CYCLONE_CAPTURE_VERSION": version,
        "RAUC_KEY_FILE": str(signer.key),
        "RAUC_CERT_FILE": str(signer.certificate),
        "RAUC_KEYRING_FILE": str(signer.authority),
    }
    if mirror := given.get(lock.MIRRORS):
        own |= {"KAS_PREMIRRORS": lock.premirrors(), "BB_NO_NETWORK": "1", "GITCONFIG_FILE": str(place / "gitconfig")}
        if (Path(mirror) / "downloads").is_dir():
            own["SOURCE_MIRROR_URL"] = f"file://{Path(mirror).resolve()}/downloads"
    return Command(argv, {name: value for name, value in own.items() if not given.get(name)}, place)


def prepare(made: Command) -> None:
    """Make the folder and remove the logs of the last build. Raises UserError as root: BitBake refuses it."""
    if os.geteuid() == 0:
        raise UserError("BitBake refuses to build as root (valid: run ./inv build --engine=yocto as an ordinary user)")
    made.folder.mkdir(parents=True, exist_ok=True)
    if (settings := made.environment.get("GITCONFIG_FILE")) is not None:
        Path(settings).write_text(git_settings(lock.layers()), encoding="utf-8")
    for stale in (made.log, made.events):
        stale.unlink(missing_ok=True)


def git_settings(layers: Iterable[lock.Layer]) -> str:
    """For kas's git: a mirror may belong to another user of this host, who is trusted with it."""
    places = [lock.place(layer.url) for layer in layers]
    return "[safe]\n" + "".join(f"\tdirectory = {one}\n\tdirectory = {one}/.git\n" for one in places)


def run(made: Command, say: Callable[[str], None] | None = None, every: float = EVERY) -> State:
    """Run `made` to its end. Raises ToolError with what failed, KeyboardInterrupt when it was stopped."""
    say = say or (lambda line: print(f"  {line}", file=sys.stderr, flush=True))
    state, reader = State(), Reader(made.events)
    with made.log.open("wb") as log:
        child = subprocess.Popen(  # noqa: S603  # argv, no shell
            made.argv,
            cwd=paths.ROOT,
            env={**os.environ, **made.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: we ask BitBake to stop, in its own way
        )
    stops, shown, last = 0, 0.0, ""
    while True:
        try:
            over = _ended(child)
            for event in reader.events():
                state.take(event)
            now = time.time()
            if now - shown >= every and (line := state.line(now)) != last:
                say(line)
                shown, last = now, line
            if over:
                break
        except KeyboardInterrupt:
            stops += 1
            say("stopping when the running tasks are done; Ctrl-C again stops them" if stops == 1 else "stopping now")
            stop(child.pid)
    if stops:
        raise KeyboardInterrupt
    if child.returncode:
        raise failure(made, child.returncode, state)
    return state


def _ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(POLL)
    except subprocess.TimeoutExpired:
        return False
    return True


def stop(pid: int) -> None:
    """Ask BitBake below kas (process `pid`) to stop, or kas itself while it still fetches layers."""
    clients = [child for child in children(pid) if "bitbake" in _words(child)]
    for one in clients or [pid]:
        try:
            os.kill(one, signal.SIGINT)
        except ProcessLookupError:
            continue


def children(pid: int) -> list[int]:
    """Processes that `pid` has started and that still run."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def failure(made: Command, status: int, state: State) -> ToolError:
    """What failed: a full disk, the tasks, else what BitBake said, else the end of kas's log."""
    said = [*state.full, *(one.text() for one in state.failures)] or state.problems[:5]
    return ToolError(
        made.argv[:3], status, "\n".join(said) or tool.tail(made.log), f"kas's and BitBake's log: {made.log}"
    )


def summary(state: State) -> str:
    """What a finished build did."""
    slow = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in state.slowest())
    reused = f", {state.reused} taken from sstate" if state.reused else ""
    return f"{state.total} tasks, {state.executed} run{reused}" + (f"; slowest: {slow}" if slow else "")
