# SPDX-License-Identifier: MIT
"""The release build: kas sets the layers up, BitBake builds, and this shows how far it is.

`command` is pure: boards and wishes in, argv and environment out. Several boards are built in one run
(`layers/kas/boards.yml`): the first by name is BitBake's default configuration, each other one a multiconfig with a
TMPDIR of its own; what does not depend on the board is built once. `run` starts it, follows BitBake's event log and
prints a line now and then; a failure is a ToolError with recipe, task and the lines of its log that matter. Ctrl-C
lets the running tasks finish, a second one stops them; the next build goes on from there. What BitBake itself says
goes to `build/<board>/kas/kas.log`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from firmware import kas_log, lock, paths, rendering, signing, tool
from firmware.board import Board
from firmware.errors import ToolError, UserError
from firmware.events import Reader, State

EVERY = 10.0  # seconds between two lines
POLL = 0.5
GRACE = 20.0  # seconds that BitBake's client has to end when its server is gone: a killed one it waits for forever
DEBUG = "layers/kas/debug.yml"
CVE = "layers/kas/cve.yml"
SEVERAL = "layers/kas/boards.yml"
TARGETS = ("capture-image", "capture-bundle")  # as layers/kas/base.yml has them
OTHERS = "CYCLONE_CAPTURE_BOARDS"  # environment: the boards that are not the default configuration
FABRIC = "CYCLONE_CAPTURE_FABRIC"  # environment: another folder for fabric.rbf
U_BOOT_CONFIG = "u-boot.config"  # U-Boot's .config among the results


@dataclass(frozen=True)
class Wishes:
    """What of the build is wanted: one `target` alone, the kernel's flavour for tests, a shell instead, or the image
    looked up in the databases of known vulnerabilities."""

    target: str | None = None
    debug: bool = False
    shell: bool = False
    cve: bool = False


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


def in_order(boards: Iterable[Board]) -> list[Board]:
    """The boards of a run, the one of BitBake's default configuration first, however they were given."""
    return sorted(boards, key=lambda board: board.name)


def folder(*boards: Board) -> Path:
    """Where kas works for these boards: layers, build folder, logs. (No board's name has an underscore.)"""
    return paths.BUILD / "_".join(board.name for board in in_order(boards)) / "kas"


def shared(name: str) -> Path:
    """Where builds of this checkout keep `downloads` and built things (`sstate-cache`), unless the user says where."""
    return paths.BUILD / "yocto" / name


def scratch(board: Board, boards: Iterable[Board]) -> Path:
    """BitBake's TMPDIR for `board` in a run of `boards` (`templates/yocto/multiconfig.conf.j2`)."""
    first, *_ = found = in_order(boards)
    return folder(*found) / "build" / ("tmp" if board == first else f"tmp-{board.name}")


def results(name: str) -> Path:
    """Where the results of board `name` are kept, each build's in a folder that is named after its contents."""
    return paths.BUILD / name / "kas" / "results"


def command(
    boards: Sequence[Board], wishes: Wishes, version: str, signer: signing.Signer, given: Mapping[str, str]
) -> Command:
    """The command for `boards`; what `given` (the environment) says about keys, version and mirrors holds.

    Raises UserError: it says what BitBake cannot do, or what can hold for one board only.
    """
    if signer.command or signer.recipients:
        raise UserError(
            "the Yocto engine signs with a certificate and a key (valid: without CYCLONE_CAPTURE_SIGN_COMMAND and "
            "CYCLONE_CAPTURE_RECIPIENTS; ./inv build --engine=debian knows them)"
        )
    first, *others = in_order(boards)
    if others and given.get(FABRIC):
        raise UserError(
            f"{FABRIC} is for one board (valid: --board with one; or board/<board>.rbf for each, without {FABRIC})"
        )
    place = folder(*boards)
    # of two kas files that say the machine, the later one holds
    files = [str(rendering.folder(board) / "yocto" / "kas.yml") for board in (*others, first)]
    files += [str(paths.ROOT / SEVERAL)] * bool(others) + [str(paths.ROOT / DEBUG)] * wishes.debug
    files += [str(paths.ROOT / CVE)] * wishes.cve
    argv = [str(Path(sys.executable).with_name("kas"))]
    if wishes.shell:
        argv += ["shell", ":".join(files)]
    else:  # kas takes no option behind its file
        argv += ["build", *_options(wishes, others), ":".join(files), "--", "--write-log", str(place / "events.json")]
    own = {
        "KAS_WORK_DIR": str(place),
        "DL_DIR": str(shared("downloads")),
        "SSTATE_DIR": str(shared("sstate-cache")),
        "CYCLONE_CAPTURE_VERSION": version,
        "RAUC_KEY_FILE": str(signer.key),
        "RAUC_CERT_FILE": str(signer.certificate),
        "RAUC_KEYRING_FILE": str(signer.authority),
    }
    if mirror := given.get(lock.MIRRORS):
        own |= {"KAS_PREMIRRORS": lock.premirrors(), "BB_NO_NETWORK": "1", "GITCONFIG_FILE": str(place / "gitconfig")}
        if (Path(mirror) / "downloads").is_dir():
            own["SOURCE_MIRROR_URL"] = f"file://{Path(mirror).resolve()}/downloads"
    if not given.get("SSTATE_DIR"):  # what is equivalent is known where the things are: else none would be taken
        own["BB_HASHSERVE_DB_DIR"] = own["SSTATE_DIR"]
    environment = {name: value for name, value in own.items() if not given.get(name)}
    return Command(argv, environment | {OTHERS: " ".join(board.name for board in others)}, place)


def _options(wishes: Wishes, others: Iterable[Board]) -> list[str]:
    """Targets, as far as kas does not know them itself, and whether there is something to attest."""
    targets = [wishes.target] if wishes.target else list(TARGETS[:1] if wishes.cve else TARGETS)
    wanted = [*targets, *(f"mc:{board.name}:{target}" for board in others for target in targets)]
    attest = [] if wishes.target else ["--provenance=mode=min"]
    return [*attest, *(f"--target={one}" for one in wanted if tuple(wanted) != TARGETS)]


def prepare(made: Command) -> None:
    """Make the folder. Raises UserError as root: BitBake refuses it."""
    if os.geteuid() == 0:
        raise UserError("BitBake refuses to build as root (valid: run ./inv build --engine=yocto as an ordinary user)")
    made.folder.mkdir(parents=True, exist_ok=True)
    if (settings := made.environment.get("GITCONFIG_FILE")) is not None:
        Path(settings).write_text(git_settings(lock.layers()), encoding="utf-8")


def git_settings(layers: Iterable[lock.Layer]) -> str:
    """For kas's git: a mirror may belong to another user of this host, who is trusted with it."""
    places = [lock.place(layer.url) for layer in layers]
    return "[safe]\n" + "".join(f"\tdirectory = {one}\n\tdirectory = {one}/.git\n" for one in places)


def run(made: Command, say: Callable[[str], None] | None = None, every: float = EVERY) -> State:
    """Run `made` to its end.

    Raises ToolError with what failed, UserError when another build runs there, KeyboardInterrupt when it was stopped.
    """
    with alone(made.folder) as mark:
        return _run(made, mark, say or (lambda line: print(f"  {line}", file=sys.stderr, flush=True)), every)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[TextIO]:
    """No other build in `folder`; what is written to the file says which process it is. Raises UserError: there is one.

    kas gets the file too, so that it counts when it has outlived the process that started it.
    """
    with (folder / "running").open("a+", encoding="utf-8") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            mark.seek(0)
            pid = mark.read().strip() or "of a build that has just begun"
            raise UserError(
                f"process {pid} builds in {folder} (valid: when it is done; or end it first: kill {pid})"
            ) from error
        mark.truncate(0)
        yield mark


def _run(made: Command, mark: TextIO, say: Callable[[str], None], every: float) -> State:
    for stale in (made.log, made.events):
        stale.unlink(missing_ok=True)
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
            pass_fds=[mark.fileno()],
        )
    print(child.pid, file=mark, flush=True)
    stops, shown, last, server = 0, 0.0, "", Server(made.folder / "build" / "bitbake.lock")
    while True:
        try:
            over = _ended(child)
            if not over and server.gone_for(time.monotonic()) > GRACE:
                os.killpg(child.pid, signal.SIGKILL)
                server.end_rest()
                raise ToolError(
                    made.argv[:3],
                    child.wait(),
                    f"BitBake's server, process {server.pid}, was killed, by the kernel if memory ran out (valid: "
                    "build again, it goes on from here; with less memory: BB_NUMBER_THREADS=1 PARALLEL_MAKE=-j2)",
                    f"kas's and BitBake's log: {made.log}",
                )
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


class Server:
    """BitBake's server, which `lock` names: was it there, and since when is it not?"""

    def __init__(self, lock: Path) -> None:
        """What an earlier build left in `lock` does not count: that server is not there."""
        self._lock, self._since, self.pid, self._session = lock, 0.0, 0, 0

    def gone_for(self, now: float) -> float:
        """For how many seconds the server that was there has been gone; 0 when it is there, or none was yet."""
        try:
            pid = int(self._lock.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0.0 if not self.pid or not self._since else now - self._since
        if _alive(pid):
            if pid != self.pid:
                self._session = _session(pid)
            self.pid, self._since = pid, 0.0
        elif pid == self.pid:
            self._since = self._since or now
        return now - self._since if self._since else 0.0

    def end_rest(self) -> None:
        """End what the server has started and left: it holds the lock and the socket, so the next build would wait."""
        rest = [int(path.name) for path in Path("/proc").glob("[0-9]*")] if self._session else []
        for pid in rest:
            if _session(pid) == self._session:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _session(pid: int) -> int:
    """The session of a process that is not in ours (the server makes one of its own), else 0."""
    try:
        found = os.getsid(pid)
    except ProcessLookupError:
        return 0
    return found if found != os.getsid(0) else 0


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


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
    """What failed: a full disk, the tasks, else what BitBake said, what kas said, else the end of kas's log."""
    said = [*state.full, *(one.text() for one in state.failures)] or state.problems[:5]
    said = said or kas_log.problems(made.log.read_text(errors="replace"), lock.layers())
    return ToolError(
        made.argv[:3], status, "\n".join(said) or tool.tail(made.log), f"kas's and BitBake's log: {made.log}"
    )


def summary(state: State) -> str:
    """What a finished build did."""
    slow = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in state.slowest())
    reused = f", {state.reused} taken from sstate" if state.reused else ""
    return f"{state.total} tasks, {state.executed} run{reused}" + (f"; slowest: {slow}" if slow else "")
