# SPDX-License-Identifier: MIT
"""oelint-adv, OpenEmbedded's style checker, over recipes: its findings of weight "warning" and "error"."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from firmware import paths
from firmware.errors import ToolError

CONSTANTS = paths.ROOT / "layers" / "oelint.json"  # names of our layers and of meta-rauc
SUPPRESSED = {
    "oelint.var.mandatoryvar.HOMEPAGE": "our own recipes are part of this project, which has no page of its own",
    "oelint.file.patchsignedoff": "signed off when it goes upstream; that it says Upstream-Status is a gate",
    "oelint.vars.homepageping": "the network is not asked",
    "oelint.vars.summary80chars": "recipe.yaml allows 100",
}


def findings(files: Iterable[Path], release: str = "wrynose") -> list[str]:
    """One line a finding, `path:line:weight:rule:text`. Raises ToolError when the checker itself fails."""
    suppressions = [f"--suppress={rule}" for rule in SUPPRESSED]
    options = [f"--release={release}", "--quiet", "--hide=info", f"--constantmods=+{CONSTANTS}"]
    command = [sys.executable, "-m", "oelint_adv", *options, *suppressions, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # argv, no shell
    if "Traceback" in done.stderr or done.returncode not in (0, 1):
        raise ToolError(command[:3], done.returncode, done.stderr[-2000:])
    return [line for line in (done.stdout + done.stderr).splitlines() if ":warning:" in line or ":error:" in line]
