# SPDX-License-Identifier: MIT
"""What happens to `/data` at boot, before anybody uses it: factory reset, migration for a new version, the way back.

A hook in `/usr/lib/field-update/migrate.d` is called `HOOK paths` and prints what it will change, below the data
partition, one a line; then `HOOK run`. Before the first one runs, those files and folders are copied to `before`; the
copy bears the name of the slot that it was made for:

    this slot, on trial        a boot before this one was cut: bring the copy back, and run the hooks anew
    this slot, no trial        the slot was committed: the copy goes
    the other slot             this board has gone back: bring the copy back; then it goes

A hook that fails gives up the trial, for that reason. The copy exists as a whole or not at all (it is renamed into its
place), and bringing it back may be cut anywhere: it is begun again. `reset` empties the partition of all but the
board's identity and this programme's own state; the mark that asks for it goes last.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from field_update.state import State, Store, write_atomically
from field_update.system import Failure, output

HOOKS = Path("/usr/lib/field-update/migrate.d")
HOOK_SECONDS = 600
KEPT = ("identity", "field-update", "rauc", "lost+found")


class Data:
    """The data partition mounted at `root`, with this programme's own folder `home` in it."""

    def __init__(self, root: Path, say: Callable[[str], None], hooks: Path = HOOKS) -> None:
        """Messages for a person go to `say`."""
        self._root, self._say, self._hooks = root, say, hooks
        home = root / "field-update"
        self._store = Store(home)
        self._before, self._reset = home / "before", home / "reset"

    def ask_reset(self) -> None:
        """Ask for the factory reset that the next boot makes."""
        write_atomically(self._reset, "asked for\n")

    def boot(self, booted: str) -> None:
        """Do what is to be done before `/data` is used; slot `booted` runs. Raises Failure."""
        if self._reset.exists():
            self._empty()
        state, _problem = self._store.load()
        trial = state.trial is not None and state.trial.slot == booted and not state.trial.failed
        if self._before.exists():
            if trial or self._made_for() != booted:
                self._bring_back()
            if not trial:
                remove(self._before)
        if trial:
            self._migrate(state, booted)

    def _migrate(self, state: State, booted: str) -> None:
        found = sorted(self._hooks.iterdir()) if self._hooks.is_dir() else []
        hooks = [path for path in found if os.access(path, os.X_OK)]
        try:
            if hooks and not self._before.exists():
                self._keep({name for hook in hooks for name in _run(hook, "paths").split("\n") if name}, booted)
            for hook in hooks:
                self._say(f"migration: {hook.name} {_run(hook, 'run').strip()}")
        except (Failure, OSError) as failure:
            self._say(f"migration failed: {failure}")
            if state.trial is not None:
                self._store.save(state._replace(trial=state.trial._replace(failed=f"migration: {failure}")))

    def _keep(self, names: set[str], booted: str) -> None:
        scratch = self._before.with_name("before.new")
        remove(scratch)
        (scratch / "files").mkdir(parents=True)
        paths = sorted({self._below(name) for name in names})
        for number, path in enumerate(paths):
            if path.exists():
                copy(path, scratch / "files" / str(number))
        facts = {"slot": booted, "paths": [str(path.relative_to(self._root)) for path in paths]}
        (scratch / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        os.sync()
        move(scratch, self._before)
        os.sync()

    def _below(self, name: str) -> Path:
        path = (self._root / name.lstrip("/").removeprefix("data/")).resolve()
        if self._root.resolve() not in path.parents or path.is_relative_to(self._store.path.parent.resolve()):
            raise Failure(f"{name} is not to be migrated (valid: below {self._root}, not of field-update)")
        return path

    def _made_for(self) -> str:
        return str(json.loads((self._before / "facts.json").read_text(encoding="utf-8"))["slot"])

    def _bring_back(self) -> None:
        names = json.loads((self._before / "facts.json").read_text(encoding="utf-8"))["paths"]
        for number, name in enumerate(names):
            path, kept = self._root / name, self._before / "files" / str(number)
            fresh = path.with_name(path.name + ".brought-back")
            remove(fresh)
            if kept.exists():
                copy(kept, fresh)
                os.sync()
            remove(path)
            if kept.exists():
                move(fresh, path)
        os.sync()
        self._say(f"brought back as before the upgrade: {', '.join(names)}")

    def _empty(self) -> None:
        for path in sorted(self._root.iterdir()):
            if path.name not in KEPT:
                remove(path)
        remove(self._before)
        os.sync()
        self._reset.unlink()
        os.sync()
        self._say("factory reset: all data but the board's identity is gone")


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder with owners, modes, times and links. Raises Failure."""
    output(["cp", "-a", "--", str(source), str(target)], HOOK_SECONDS)


def move(source: Path, target: Path) -> None:
    """Rename."""
    source.rename(target)


def remove(path: Path) -> None:
    """Remove a file or folder, which need not be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _run(hook: Path, what: str) -> str:
    return output([str(hook), what], HOOK_SECONDS)
