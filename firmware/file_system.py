# SPDX-License-Identifier: MIT
"""An ext4 file system inside a file, read in place: no root, no mount, no copy of the whole.

    FileSystem(image, layout.SLOT_A.offset).extract(["/boot/zImage"])

debugfs(8) and e2fsck(8) take `FILE?offset=BYTES` (libext2fs, unix_io manager). debugfs always ends
with 0: what it did not write is not there.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware import tool
from firmware.ext4 import BLOCK_BYTES, quoted

E2FSCK_SECONDS = 120.0
E2FSCK_LINES = 200  # more are not waited for
E2FSCK_NAMED = 3  # so many are shown


@dataclass(frozen=True)
class FileSystem:
    """The file system that begins at byte `offset` of `file`."""

    file: Path
    offset: int = 0

    @property
    def device(self) -> str:
        """How e2fsprogs names it."""
        return f"{self.file.resolve()}?offset={self.offset}"

    def extract(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Content of the regular files `paths`; what is not there is left out."""
        found: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory(prefix="extract-") as name:
            folder = Path(name)
            lines = [f"dump {quoted(path)} out{number}" for number, path in enumerate(paths)]
            self._debugfs(folder, lines)
            for number, path in enumerate(paths):
                out = folder / f"out{number}"
                if out.is_file():
                    found[path] = out.read_bytes()
        return found

    def names(self, path: str) -> list[str]:
        """Names in the folder `path`, sorted; empty when there is none."""
        with tempfile.TemporaryDirectory(prefix="extract-") as name:
            said = self._debugfs(Path(name), [f"ls -p {quoted(path)}"])
        # a line is /inode/mode/uid/gid/name/size/
        fields = [line.split("/") for line in said.splitlines() if line.startswith("/")]
        return sorted(field[5] for field in fields if len(field) > 6 and field[5] not in ("", ".", ".."))

    def owner(self, byte: int) -> str:
        """Path of the file that holds this byte of the file system; where it is when no file does."""
        with tempfile.TemporaryDirectory(prefix="extract-") as name:
            block = self._debugfs(Path(name), [f"icheck {byte // BLOCK_BYTES}"]).splitlines()[-1]
            inode = block.partition("\t")[2]
            said = self._debugfs(Path(name), [f"ncheck {inode}"]) if inode.isdigit() else ""
        paths = [line.partition("\t")[2] for line in said.splitlines() if line.startswith(f"{inode}\t")]
        return paths[0] if paths else f"byte {byte:#x}"

    def faults(self) -> str:
        """What e2fsck finds to repair, or an empty text; nothing is written."""
        argv = [tool.need("e2fsck", "e2fsprogs"), "-f", "-n", self.device]
        with subprocess.Popen(  # noqa: S603  # argv, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            late = threading.Timer(E2FSCK_SECONDS, process.kill)
            late.start()
            # a badly broken file system makes it start over for ever, and complain all the while
            lines = [line.strip() for line in itertools.islice(process.stdout or (), E2FSCK_LINES)]
            late.cancel()
            if len(lines) == E2FSCK_LINES:
                process.kill()
        if process.returncode == 0:
            return ""
        said = [line for line in lines if line and not line.startswith(("Pass ", "e2fsck 1.", "***"))]
        return "; ".join(said[:E2FSCK_NAMED]) or f"e2fsck ends with status {process.returncode}"

    def _debugfs(self, folder: Path, commands: Sequence[str]) -> str:
        (folder / "commands").write_text("".join(f"{command}\n" for command in commands))
        return tool.capture([tool.need("debugfs", "e2fsprogs"), "-f", "commands", self.device], cwd=folder)
