# SPDX-License-Identifier: MIT
"""Inspection of a bundle on this computer, before it is offered: what the board would refuse is refused here.

`rauc extract` verifies the signature against the board's own keyring and the content against the signed root hash, as
the board does; then its parts are checked against each other (`firmware/fit.py`). A bundle that is encrypted to boards
cannot be looked into here: that was done when it was made. A bundle of the same SHA-256 is inspected once a day with a
keyring: what the build has just inspected need not be unpacked again to be offered (certificates end, hence the day).
A board goes by its own clock, which begins at the build of its slot: `out_of_time` verifies the signature at that time.
"""

from __future__ import annotations

import configparser
import datetime
import json
import re
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from firmware import bundle as bundles
from firmware import file_system, fit, flat_tree, tool
from firmware.errors import ToolError, UserError
from firmware.stage import Stage

DOWNGRADE = "allow-downgrade"  # a file beside the manifest: field_update/admission.py of the board looks for it
ENCRYPTED = "Encrypted bundle detected"
FORMATS = ("verity", "crypt")  # templates/update/system.conf.j2: what the boards take
FOUND = "content.json"
OUT_OF_TIME = re.compile(r"certificate (is not yet valid|has expired)")
CODE = tuple(Path(str(module.__file__)) for module in (fit, flat_tree, file_system))
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


def inspect_once(bundle: Path, keyring: str, sha256: str) -> Content | None:
    """As `inspect`, of the bundle with this SHA-256 and with the keyring's text; what was found today is kept."""
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    texts = {"bundle": sha256, "keyring": keyring, "day": day}

    def work(folder: Path) -> None:
        trusted = folder / "keyring.pem"
        trusted.write_text(keyring, encoding="utf-8")
        found = inspect(bundle, trusted)
        (folder / FOUND).write_text(json.dumps(found and asdict(found)), encoding="utf-8")

    with _SEEING:  # boards of a fleet wait for the one inspection
        made = Stage("inspection", texts=texts, files=(Path(__file__), *CODE)).make(work)
    raw = json.loads((made / FOUND).read_text(encoding="utf-8"))
    return Content(**raw) if raw else None


def out_of_time(bundle: Path, keyring: str, at: int) -> str:
    """What OpenSSL, which RAUC verifies by, says of certificates out of their time at `at` (seconds since 1970), or "".

    For a bundle that `inspect` has found sound and not encrypted.
    """
    with tempfile.TemporaryDirectory(prefix="inspection-") as name:
        trusted, signature = Path(name) / "keyring.pem", Path(name) / "signature.der"
        trusted.write_text(keyring, encoding="utf-8")
        signature.write_bytes(bundles.read_signature(bundle))
        argv = ["cms", "-verify", "-binary", "-inform", "DER", "-in", str(signature), "-CAfile", str(trusted)]
        try:
            tool.capture([tool.need("openssl", "openssl"), *argv, "-attime", str(at), "-out", f"{name}/manifest"])
        except ToolError as error:
            return found[0] if (found := OUT_OF_TIME.search(error.tail)) else ""  # all else is for RAUC to say
        return ""


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
