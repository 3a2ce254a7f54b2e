# SPDX-License-Identifier: MIT
"""Figures of `./inv bench` about streaming: what of a bundle goes over the link, and what that costs in time.

One emulated board installs the same bundle twice into the same slot, blanked before each: through the tunnel, and from
a file on its own card. Between the two versions one line of the service differs.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from firmware import bundle, deploy, engine, ext4, inspection, layout, transfer
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.reach import fresh_emulator
from firmware.ssh import Target
from firmware.tree import Tree

SERVICE = "/usr/lib/captured/captured/service.py"
ON_BOARD = "/data/measured.raucb"
KEYRING = "/etc/rauc/keyring.pem"
LONG_SECONDS = 1800.0


def changed(inputs: bundle.Inputs, folder: Path) -> Path:
    """The built bundle with one more line in the service."""
    edits = Tree(inputs.epoch)
    edits.file(SERVICE, ext4.read(inputs.rootfs, SERVICE) + f"# {time.time_ns()}\n")
    return bundle.variant(inputs, folder, edits, inputs.version.partition("+")[0] + "+changed")


def blank(target: Target, size: int) -> None:
    """Forget the first `size` bytes of slot B, what RAUC knows of it, and that it was to be tried."""
    wanted = (size >> 20) + 1
    wipe = ["dd", "if=/dev/zero", f"of={layout.SLOT_B.device}", "bs=1M", f"count={wanted}", "conv=fsync"]
    target.output(wipe, sudo=True, timeout=LONG_SECONDS)
    target.output(["sh", "-c", "rm -rf /data/rauc/slot.* /data/field-update/state.json"], sudo=True)
    target.output(["rauc", "status", "mark-active", "booted"], sudo=True)


def streaming(choice: Choice) -> dict[str, float]:
    """Bytes over the link as a share of the bundle, and deploy's seconds against RAUC's from a local file."""
    inputs = engine.bundle_inputs(choice.board)
    with tempfile.TemporaryDirectory(prefix="streaming-") as name, fresh_emulator(choice, Path(name)) as found:
        folder, target = Path(name), found.target
        made = changed(inputs, folder)
        deploy.verdict(target)
        blank(target, inputs.rootfs.stat().st_size)
        started = time.monotonic()
        inspection.inspect_once(made, target.get(KEYRING))
        sent = transfer.install(target, made, made.stem, say=lambda _text: None)
        ours = time.monotonic() - started
        blank(target, inputs.rootfs.stat().st_size)
        target.put(made.read_bytes(), ON_BOARD, sudo=True, timeout=LONG_SECONDS)
        started = time.monotonic()
        target.output(["rauc", "install", ON_BOARD], sudo=True, timeout=LONG_SECONDS)
        raucs = time.monotonic() - started
        size = made.stat().st_size
    return {"adaptive_bytes_share": sent / size, "deploy_vs_rauc_ratio": ours / raucs}


GROUPS = (
    Group(
        {
            "adaptive_bytes_share": Figure(
                "ratio", "bytes over the link to the bundle's, one line of the service changed"
            ),
            "deploy_vs_rauc_ratio": Figure(
                "ratio", "inspection and installation to rauc install of a file on the card"
            ),
        },
        streaming,
        long=True,
    ),
)
