# SPDX-License-Identifier: MIT
"""Stages: units of build work that are not run again while their inputs are the same.

A stage's key is the SHA-256 over its name, its inputs (texts and the contents of files) and the keys of the stages that
it builds on. Its result is a folder in the user's cache, `<cache>/stages/<name>/<key>/`, put in place by one rename:
an interrupted build leaves nothing half-done and goes on from the last whole stage. Deleting the cache is always safe.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firmware import paths, tool


def hash_tree(paths_in: Iterable[Path]) -> str:
    """SHA-256 over names, modes and contents of files and of all files below folders, in sorted order."""
    digest = hashlib.sha256()
    for top in sorted(paths_in):
        files = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file() or p.is_symlink())
        for path in files:
            if "__pycache__" in path.parts:
                continue
            name = path.relative_to(top.parent).as_posix()
            content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            executable = not path.is_symlink() and bool(path.stat().st_mode & 0o100)
            digest.update(f"{name}\0{executable}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@dataclass(frozen=True)
class Stage:
    """One unit: `texts` and `files` are its inputs, `after` the stages whose results it uses."""

    name: str
    texts: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    after: tuple[Stage, ...] = ()

    @property
    def key(self) -> str:
        """SHA-256 of all inputs, 64 hexadecimal digits."""
        digest = hashlib.sha256(self.name.encode())
        for name, text in sorted(self.texts.items()):
            digest.update(f"\0{name}\0{len(text)}\0{text}".encode())
        digest.update(hash_tree(self.files).encode())
        for stage in self.after:
            digest.update(stage.key.encode())
        return digest.hexdigest()

    @property
    def result(self) -> Path:
        """Folder of the result; exists only when the stage is done."""
        return paths.cache() / "stages" / self.name / self.key[:32]

    def done(self) -> bool:
        """Whether the result is there."""
        return self.result.is_dir()

    def make(self, work: Callable[[Path], None]) -> Path:
        """Result folder, made by `work(folder)` unless it is there already; two builds at once wait for each other."""
        if self.done():
            return self.result
        parent = self.result.parent
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / f".{self.result.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.done():
                return self.result
            for stale in parent.glob(f".{self.result.name}.*/"):  # of a build that was killed: we hold its lock
                shutil.rmtree(stale)
            scratch = Path(tempfile.mkdtemp(prefix=f".{self.result.name}.", dir=parent))
            try:
                scratch.chmod(0o755)
                with tool.step(self.name):
                    work(scratch)
                scratch.rename(self.result)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return self.result
