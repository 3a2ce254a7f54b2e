# SPDX-License-Identifier: MIT
"""What must be remembered over a reboot: `/data/field-update/state.json`.

It is replaced as a whole (write, fsync, rename, fsync of the folder): a power cut leaves the old one or the new one.
A file that cannot be read must not keep the board from booting: it counts as "no trial", is put aside as
`state.json.broken`, and the problem is reported.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1
INSTALLING = "installing"
INSTALLED = "installed"
DAMAGED = "damaged"


class Trial(NamedTuple):
    """A slot that is not committed yet. `failed` says why it is to be reverted; it is empty while it may pass."""

    slot: str
    version: str
    deadline_seconds: int
    phase: str
    failed: str = ""


class Event(NamedTuple):
    """How the last trial ended: `committed`, `reverted`, `interrupted`, `install-failed` or `state-unreadable`.

    `damaged`: a committed slot was given up for the other one.
    """

    event: str
    slot: str
    version: str
    reason: str


class State(NamedTuple):
    """The trial that is under way, and how the last one ended."""

    trial: Trial | None = None
    last: Event | None = None


class BrokenState(Exception):
    """The state file says nothing that can be used."""


def parse(text: str) -> State:
    """State from the file's text. Raises BrokenState."""
    try:
        raw = json.loads(text)
        if raw["schema"] != SCHEMA:
            raise BrokenState(f"schema {raw['schema']!r} (valid: {SCHEMA})")
        state = State(
            Trial(**raw["trial"]) if raw["trial"] is not None else None,
            Event(**raw["last"]) if raw["last"] is not None else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenState(f"{type(error).__name__}: {error}") from error
    _check(state)
    return state


def _check(state: State) -> None:
    if state.trial:
        texts = (state.trial.slot, state.trial.version, state.trial.phase, state.trial.failed)
        if not all(isinstance(value, str) for value in texts) or state.trial.phase not in (INSTALLING, INSTALLED):
            raise BrokenState(f"no valid trial: {state.trial}")
        if type(state.trial.deadline_seconds) is not int or state.trial.deadline_seconds <= 0:
            raise BrokenState(f"no valid deadline: {state.trial.deadline_seconds!r}")
    if state.last and not all(isinstance(value, str) for value in state.last):
        raise BrokenState(f"no valid event: {state.last}")


def as_json(state: State) -> dict[str, Any]:
    """What is written to the file, and shown by `status`."""
    return {
        "schema": SCHEMA,
        "trial": state.trial._asdict() if state.trial else None,
        "last": state.last._asdict() if state.last else None,
    }


class Store:
    """The state file in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`; it is made by the first `save`."""
        self.path = folder / "state.json"

    def load(self) -> tuple[State, str]:
        """The state, and what is wrong with the file (empty when nothing is); no file is a state without a trial."""
        try:
            return parse(self.path.read_text(encoding="utf-8")), ""
        except FileNotFoundError:
            return State(), ""
        except (BrokenState, OSError, UnicodeDecodeError) as error:
            return State(), f"{self.path} cannot be used: {error}"

    def put_aside(self) -> None:
        """Keep a broken file for whoever looks into it; only the first one is kept."""
        aside = self.path.with_name(self.path.name + ".broken")
        if self.path.exists() and not aside.exists():
            self.path.rename(aside)

    def save(self, state: State) -> None:
        """Replace the file; when this returns, it is on the medium."""
        write_atomically(self.path, json.dumps(as_json(state), indent=2) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` as a whole: a power cut or a reader sees the old text or the new one."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".new")
    with scratch.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
