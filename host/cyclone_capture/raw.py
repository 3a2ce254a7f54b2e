# SPDX-License-Identifier: MIT
"""Recordings in a partition without a file system, read on this computer: from the card, or from a copy in a file."""

from __future__ import annotations

from pathlib import Path

from .errors import UserError
from .files import Writer
from .partition import Partition
from .record import unpack
from .sigmf_meta import from_json, sample_bytes


def listing(path: Path) -> str:
    """What is there, a line for each recording. Raises UserError."""
    try:
        with Partition(path) as medium:
            found = [
                f"{one.name:24} {one.bytes:16} bytes in {one.records} blocks, {one.state}"
                + (f": {one.note}" if one.note else "")
                for one in medium.load()
            ]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror} (valid: a partition that a board has recorded to)") from error
    except ValueError as error:  # which names it
        raise UserError(str(error)) from error
    return "\n".join(found or ["no recordings"])


def take_out(path: Path, name: str, output: Path) -> None:
    """Write recording `name` as the SigMF recording `output`, as far as it can be read. Raises UserError, OSError."""
    try:
        with Partition(path) as medium:
            medium.load()
            entry = medium.find(name)
            what = from_json(entry.what)
            with Writer(output, what.datatype, what.rate / sample_bytes(what.datatype), what.board) as writer:
                for head, payload in medium.records(entry):
                    writer.write(unpack(head), payload)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
