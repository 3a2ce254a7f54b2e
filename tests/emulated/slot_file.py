# SPDX-License-Identifier: MIT
"""A file of slot A on a card is replaced before the board is switched on: another overlay, say, for the boot loader."""

from __future__ import annotations

import tempfile
from pathlib import Path

from firmware import layout, tool
from firmware.errors import ToolError


def replace(card: Path, path: str, content: bytes) -> None:
    """Put `content` into the file `path` of slot A; it belongs to root and has mode 0644. Raises ToolError."""
    device = f"{card.resolve()}?offset={layout.SLOT_A.offset}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "new").write_bytes(content)
        commands = [f"rm {path}", f"write new {path}", f"set_inode_field {path} mode 0100644", f"dump {path} seen"]
        (folder / "commands").write_text("".join(f"{command}\n" for command in commands))
        debugfs = tool.need("debugfs", "e2fsprogs")
        said = tool.capture([debugfs, "-w", "-f", "commands", device], cwd=folder)
        if not (folder / "seen").exists() or (folder / "seen").read_bytes() != content:
            raise ToolError([debugfs, str(card)], 0, said, f"{path} was not written as it should be")
