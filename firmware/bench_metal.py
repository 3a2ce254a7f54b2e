# SPDX-License-Identifier: MIT
"""Figures of `./inv bench --host` that only a real board can give: an emulated one has its host's speed."""

from __future__ import annotations

from firmware import admission, receiver
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.errors import TargetError, UserError
from firmware.reach import reach
from firmware.ssh import Target

BYTES = 4 << 30
WAIT_FOR_READER = (
    "for i in $(seq 300); do capturectl status --json | grep -q '\"clients\": 1[,}]' && exit 0; sleep 0.1; done; exit 1"
)


def _start(target: Target) -> None:
    target.output(["sh", "-c", WAIT_FOR_READER], sudo=True)
    target.output(["capturectl", "start", "--pattern=counter", "--rate=0", f"--bytes={BYTES}"], sudo=True)


def stream(choice: Choice) -> dict[str, float]:
    """MiB/s of a capture as fast as the board goes, verified. Raises UserError on the emulated board, TargetError."""
    if not choice.host:
        raise UserError(
            "board_stream_mib_per_s: the emulated board's speed is its host's (valid: --host of a real board)"
        )
    found = reach(choice)
    with found.target as target:
        admission.admit(target)
        seen = receiver.receive(*found.stream, pattern="counter", connected=lambda: _start(target))
    if not seen.whole:
        raise TargetError(target.name, f"the capture is not whole: {seen}")
    return {"board_stream_mib_per_s": seen.bytes / (1 << 20) / seen.seconds}


GROUPS = (
    Group(
        {"board_stream_mib_per_s": Figure("MiB/s", "4 GiB of the counter to this computer, verified, by a real board")},
        stream,
        long=True,
        metal=True,
    ),
)
