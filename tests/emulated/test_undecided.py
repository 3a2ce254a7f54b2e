# SPDX-License-Identifier: MIT
"""A version in which what judges it is broken: the board is back on the old one, with nobody there."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import bundle, deploy, engine, layout, transfer
from firmware.tree import Tree
from tests.emulated.boot_card import BOARD
from tests.emulated.test_verity import FOUR_BOOTS, board, came_up

pytestmark = [pytest.mark.emulated, pytest.mark.slow]
UNITS = "/usr/lib/systemd/system"
HANG = """[Unit]
Description=Never ends its start
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sleep infinity
"""
# as field-update-undecided.timer, which gives a boot 20 minutes
SOON = """[Unit]
DefaultDependencies=no
IgnoreOnIsolate=yes
[Timer]
OnBootSec=90s
AccuracySec=1s
"""
FSTAB = "tmpfs /home/operator tmpfs uid=1000,mode=0700 0 0\n"  # nothing for /data
BROKEN = {
    "field-update": {"/usr/sbin/field-update": "#!/usr/bin/python3\nraise SystemExit('broken')\n"},
    "rauc": {"/usr/bin/rauc": "#!/bin/sh\nexit 1\n"},
    "hangs": {
        f"{UNITS}/hangs.service": HANG,
        f"{UNITS}/multi-user.target.d/hangs.conf": "[Unit]\nRequires=hangs.service\nAfter=hangs.service\n",
        f"{UNITS}/field-update-undecided.timer": SOON,
    },
    "data": {"/etc/fstab": FSTAB, f"{UNITS}/field-update-undecided.timer": SOON},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_board_goes_back_from_a_version_that_cannot_judge_itself(tmp_path: Path, broken: str) -> None:
    inputs = engine.bundle_inputs(BOARD)
    edits, version = Tree(inputs.epoch), f"{inputs.version.partition('+')[0]}+{broken}"
    for path, text in BROKEN[broken].items():
        edits.file(path, text, 0o755 if path.startswith(("/usr/bin", "/usr/sbin")) else 0o644)
    (tmp_path / "bundle").mkdir()
    made = bundle.variant(inputs, tmp_path / "bundle", edits, version)
    with board(tmp_path, lambda _card: None) as target:
        assert came_up(target)["booted"] == "A"
        transfer.install(target, made, version)
        before = target.boot_id()
        target.reboot()
        target.wait_for_reboot(before, FOUR_BOOTS)
        now = came_up(target, "A", FOUR_BOOTS)
        assert (now["booted"], now["trial"], now["health"]) == ("A", None, "none")
        assert now["last"] is not None
        assert (now["last"]["event"], now["last"]["slot"], now["last"]["version"]) == ("reverted", "B", version)
        print(f"\n    {broken}: {now['last']['reason']}")
        console = (tmp_path / "console.log").read_text(errors="replace")
        assert console.count("boot: slot B") == layout.BOOT_ATTEMPTS
        assert deploy.status(target)["booted"] == "A"
