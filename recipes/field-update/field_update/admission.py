# SPDX-License-Identifier: MIT
"""Whether this board takes a bundle, beyond its signature: RAUC's pre-install handler, run before anything is written.

RAUC has verified the bundle and mounted it (RAUC documentation, "Handler Interface"): its content, `manifest.raucm` and
the file `allow-downgrade` included, is what was signed. A version below the running one is refused unless that file is
there. The reason goes to `/run/field-update/refused`, where `field-update install` finds it: RAUC itself only says that
the handler failed.
"""

from __future__ import annotations

import configparser
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from field_update.system import REFUSED
from field_update.version import older

RELEASE = Path("/usr/share/cyclone-capture/release.json")
MANIFEST, DOWNGRADE = "manifest.raucm", "allow-downgrade"
MANIFEST_BYTES = 64 << 10


def refusal(bundle: Path, release: Path = RELEASE) -> str:
    """Why the mounted `bundle` is refused, or an empty text."""
    if (bundle / DOWNGRADE).is_file():
        return ""
    try:
        running = str(json.loads(release.read_text(encoding="utf-8"))["version"])
        offered = version_of(bundle / MANIFEST)
        if older(offered, running):
            return downgrade(running, offered)
    except (OSError, ValueError, KeyError, TypeError, configparser.Error) as error:
        return f"its version cannot be compared with the running one: {error}"
    return ""


def downgrade(running: str, offered: str) -> str:
    """The message for a version that is too old."""
    return (
        f"version {offered} is older than {running}, which runs "
        "(valid: a newer one, or a bundle that was signed for it: deploy --allow-downgrade)"
    )


def version_of(path: Path) -> str:
    """Version in RAUC's manifest. Raises OSError, ValueError, configparser.Error."""
    if path.stat().st_size > MANIFEST_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes (valid: up to {MANIFEST_BYTES})")
    manifest = configparser.ConfigParser(interpolation=None, strict=False)
    manifest.read_string(path.read_text(encoding="utf-8"))
    return manifest.get("update", "version")


def main(
    environment: Mapping[str, str] = os.environ,
    refused: Path = REFUSED,
    also: Callable[[Mapping[str, str], Path], str] = lambda _environment, _bundle: "",
) -> int:
    """Exit status of the handler; `also` says why what is not refused here is refused all the same."""
    # RAUC before 1.9 has only the second name
    place = environment.get("RAUC_BUNDLE_MOUNT_POINT") or environment.get("RAUC_UPDATE_SOURCE")
    reason = refusal(Path(place)) if place else "RAUC does not say where the bundle is"
    if place and not reason:
        reason = also(environment, Path(place))
    if not reason:
        return 0
    print(f"refused: {reason}", file=sys.stderr)
    refused.parent.mkdir(mode=0o755, exist_ok=True)
    refused.write_text(reason + "\n", encoding="utf-8")
    return 1
