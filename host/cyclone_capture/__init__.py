# SPDX-License-Identifier: MIT
"""Captures on the engineer's computer.

    import cyclone_capture as cc

    for block in cc.stream("board-7"):          # until the capture ends
        print(block.header.sequence, block.samples.mean())   # a NumPy view of the received bytes, no copy

    take = cc.open_recording("take.sigmf-meta")  # mapped, not read
    take.samples[1_000_000:1_000_100], take.gaps

The command is `cyclone-capture`: `receive`, `plot`, `convert`.
"""

from __future__ import annotations

from .files import Recording, open_recording
from .live import Block, stream

__all__ = ["Block", "Recording", "open_recording", "stream"]
