# SPDX-License-Identifier: MIT
"""Inspection of a bundle on this computer, before it is offered: what the board would refuse is refused here.

`rauc extract` verifies the signature against the board's own keyring and the content against the signed root hash, as
the board does; then its parts are checked against each other (`firmware/fit.py`). A bundle that is encrypted to boards
cannot be looked into here: that was done when it was made.
"""

from __future__ import annotations

import configparser
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from firmware import fit, tool
from firmware.bundle import DOWNGRADE
from firmware.errors import ToolError, UserError

ENCRYPTED = "Encrypted bundle detected"
FORMATS = ("verity", "crypt")  # templates/update/system.conf.j2: what the boards take


_SEEN: dict[tuple[Path, int, str], Content | None] = {}
_SEEING = threading.Lock()


@dataclass(frozen=True)
class Content:
    """What a bundle says of itself and holds; `rootfs_bytes` is 0 when it is encrypted."""

    compatible: str
    version: str
    rootfs_bytes: int
    downgrade: bool


def inspect(bundle: Path, keyring: Path) -> Content | None:
    """What `bundle` holds, or None when it is encrypted. Raises UserError: the board would refuse it, and why."""
    with tempfile.TemporaryDirectory(prefix="inspection-") as name:
        content = Path(name) / "content"
        try:
            tool.capture([tool.need("rauc", "rauc"), "extract", f"--keyring={keyring}", bundle, content])
        except ToolError as error:
            if ENCRYPTED in error.tail:
                return None
            raise UserError(f"{bundle}: no board would take it: {reason(error)} (valid: {_VALID})") from error
        found = _read(bundle, content)
        fit.require(content / "rootfs.ext4", found.compatible)
        return found


def inspect_once(bundle: Path, keyring: str) -> Content | None:
    """As `inspect`, with the keyring's text; boards of a fleet that trust the same keys share one inspection."""
    key = (bundle.resolve(), bundle.stat().st_mtime_ns, keyring)
    with _SEEING:
        if key not in _SEEN:
            with tempfile.NamedTemporaryFile("w", prefix="keyring-", suffix=".pem") as file:
                file.write(keyring)
                file.flush()
                _SEEN[key] = inspect(bundle, Path(file.name))
        return _SEEN[key]


_VALID = "a bundle in verity format, whole, signed by a key that the board trusts"


def reason(error: ToolError) -> str:
    """RAUC's reason, without what it said on the way."""
    lines = [line.strip() for line in error.tail.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("rauc-Message")), "rauc does not say why")


def _read(bundle: Path, content: Path) -> Content:
    manifest = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        manifest.read_string((content / "manifest.raucm").read_text(encoding="utf-8"))
        form = manifest.get("bundle", "format", fallback="plain")
        if form not in FORMATS:
            raise UserError(f"{bundle}: format {form} (valid: {', '.join(FORMATS)})")
        images = [name.removeprefix("image.") for name in manifest.sections() if name.startswith("image.")]
        if images != ["rootfs"]:
            raise UserError(f"{bundle}: images {', '.join(images) or 'none'} (valid: rootfs alone)")
        return Content(
            manifest.get("update", "compatible"),
            manifest.get("update", "version"),
            (content / "rootfs.ext4").stat().st_size,
            (content / DOWNGRADE).is_file(),
        )
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise UserError(f"{bundle}: {error} (valid: a manifest, and rootfs.ext4)") from error
