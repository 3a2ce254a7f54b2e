# SPDX-License-Identifier: MIT
"""What the image was made for: the rendered module `constants`, which lies beside the package on the board.

The numbers stand in the board file only; `templates/captured/constants.py.j2` carries them here. The module is imported
by name and not from the package, so that the package itself is the same on every board.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from captured.errors import CapturedError


@dataclass(frozen=True)
class Facts:
    """The board's name, the fabric's identity, the ring's shape (bytes, blocks) and the stream's TCP port."""

    board: str
    fabric_id: int
    block_bytes: int
    blocks: int
    stream_port: int


def load() -> Facts:
    """Facts of this image. Raises CapturedError: the rendered module is missing or incomplete."""
    try:
        module = importlib.import_module("constants")
        return Facts(
            board=str(module.BOARD),
            fabric_id=int(module.FABRIC_ID),
            block_bytes=int(module.BLOCK_BYTES),
            blocks=int(module.BLOCKS),
            stream_port=int(module.STREAM_PORT),
        )
    except (ImportError, AttributeError) as error:
        raise CapturedError(f"constants.py, rendered when the image is built, is missing or broken: {error}") from error
