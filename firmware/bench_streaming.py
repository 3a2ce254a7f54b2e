# SPDX-License-Identifier: MIT
"""Figures of `./inv bench` about streaming: what of a bundle goes over the link, and what that costs in time.

One emulated board takes the same bundle by `deploy`, up to the reboot, and by RAUC alone from a file on its own card:
in pairs, in alternating order. What `deploy` does behind the reboot, the commit, is timed once and counted with each.
Before each the other slot is blank, RAUC knows nothing of it, nothing of the card is in the board's memory. Between the
two versions one line of the service differs; the bundle has been inspected, as a build does with what it has made.
"""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from firmware import bundle, deploy, engine, ext4, inspection, layout
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.deploy import Offer
from firmware.reach import fresh_emulator
from firmware.ssh import Target
from firmware.tree import Tree

SERVICE = "/usr/lib/captured/captured/service.py"
ON_BOARD = "/data/measured.raucb"
LONG_SECONDS = 1800.0
PAIRS = 2
HOST = "10.0.2.2"  # this computer, as the emulated board's network has it
FETCH = "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])"
SENT = re.compile(r"([\d.]+) of ([\d.]+) MiB sent")


def changed(inputs: bundle.Inputs, folder: Path) -> Path:
    """The built bundle with one more line in the service."""
    edits = Tree(inputs.epoch)
    edits.file(SERVICE, ext4.read(inputs.rootfs, SERVICE) + f"# {time.time_ns()}\n")
    return bundle.variant(inputs, folder, edits, inputs.version.partition("+")[0] + "+changed")


def blank(target: Target, size: int) -> None:
    """Forget the first `size` bytes of slot B, what RAUC knows of it, and that it was to be tried."""
    erase = ["blkdiscard", "--force", "--length", str(size), layout.SLOT_B.device]
    target.output(erase, sudo=True, timeout=LONG_SECONDS)
    target.output(["sh", "-c", "rm -rf /data/rauc/slot.* /data/field-update/state.json"], sudo=True)
    target.output(["rauc", "status", "mark-active", "booted"], sudo=True)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def copy_to_card(target: Target, made: Path) -> None:
    """Put the bundle onto the emulated board's card, past SSH: its network sees this computer's loopback."""
    handler = functools.partial(_Quiet, directory=str(made.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{HOST}:{server.server_port}/{made.name}"
        target.output(["python3", "-c", FETCH, url, ON_BOARD], sudo=True, timeout=LONG_SECONDS)
        server.shutdown()


def afresh(target: Target, size: int) -> None:
    """The board as if nothing had been measured yet."""
    blank(target, size)
    target.output(["sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches"], sudo=True)
    target.close()


def by_deploy(target: Target, offer: Offer, said: list[str]) -> float:
    """Seconds of a whole deploy up to the reboot, connecting included."""
    started = time.monotonic()
    deploy.check_bundle(offer)
    deploy.install(target, offer, deploy.survey(target, offer), say=said.append)
    return time.monotonic() - started


def by_commit(target: Target, said: list[str]) -> float:
    """Seconds of the commit of what was installed last, once the board has booted it and judged itself."""
    deploy.reboot(target, said.append)
    deploy.verdict(target)
    started = time.monotonic()
    deploy.commit(target)
    return time.monotonic() - started


def by_rauc(target: Target) -> float:
    """Seconds of RAUC alone."""
    target.connect()
    started = time.monotonic()
    target.output(["rauc", "install", ON_BOARD], sudo=True, timeout=LONG_SECONDS)
    return time.monotonic() - started


def streaming(choice: Choice) -> dict[str, float]:
    """Bytes over the link as a share of the bundle, and deploy's seconds against RAUC's from a local file.

    The last of the pairs, an even number, ends with `deploy`: what it installed is there to be committed.
    """
    inputs = engine.bundle_inputs(choice.board)
    with tempfile.TemporaryDirectory(prefix="streaming-") as name, fresh_emulator(choice, Path(name)) as found:
        made, target, slot_bytes = changed(inputs, Path(name)), found.target, inputs.rootfs.stat().st_size
        with made.open("rb") as stream:
            offer = Offer(choice.board.name, made.stem, made, hashlib.file_digest(stream, "sha256").hexdigest())
        deploy.verdict(target)
        copy_to_card(target, made)
        keyring = inputs.signer.authority.read_text(encoding="utf-8")
        inspection.inspect_once(made, keyring, offer.sha256)
        ours, raucs, said = 0.0, 0.0, list[str]()
        for pair in range(PAIRS):
            for first in (True, False):
                afresh(target, slot_bytes)
                if first == (pair % 2 == 0):
                    ours += by_deploy(target, offer, said)
                else:
                    raucs += by_rauc(target)
        commit = by_commit(target, [])
    sent, size = map(float, SENT.findall(said[-1])[0])
    return {
        "adaptive_bytes_share": sent / size,
        "deploy_vs_rauc_ratio": (ours / PAIRS + commit) / (raucs / PAIRS),
        "deploy_install_s": ours / PAIRS,
        "deploy_commit_s": commit,
        "rauc_install_s": raucs / PAIRS,
    }


GROUPS = (
    Group(
        {
            "adaptive_bytes_share": Figure(
                "ratio", "bytes over the link to the bundle's, one line of the service changed"
            ),
            "deploy_vs_rauc_ratio": Figure(
                "ratio", "deploy without reboot and acceptance to rauc install of a file on the card, in pairs"
            ),
            "deploy_install_s": Figure(
                "s", "deploy of a changed line, from connecting to the reboot, mean of the pairs"
            ),
            "deploy_commit_s": Figure("s", "the commit, once the board has booted and judged itself"),
            "rauc_install_s": Figure("s", "rauc install of the same bundle from the card, mean of the pairs"),
        },
        streaming,
        long=True,
    ),
)
