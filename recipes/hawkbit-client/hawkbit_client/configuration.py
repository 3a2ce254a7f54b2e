# SPDX-License-Identifier: MIT
"""Configuration of rauc-hawkbit-updater: from the board file, the board's identity, and a token on the data partition.

No secret is in the image: `/data/identity/hawkbit.token` holds hawkBit's target or gateway token, as the board file
says which; only root may read it. The target's name is made of the board's name and its machine id, hashed for this
purpose (machine-id(5) asks not to tell it to the network): it is made on the first boot and outlives every upgrade.
The attributes are what a target filter can ask for, and where a server sees what a board runs in the end.

Raises Unusable with what would be valid.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import stat
from pathlib import Path
from typing import Any, NamedTuple

TOKEN_KEYS = {"target": "auth_token", "gateway": "gateway_token"}
TOKEN_PERMISSIONS = 0o077  # nobody but root
TOKEN = re.compile(r"[\x21-\x7e]{8,256}")
MACHINE_ID = re.compile(r"[0-9a-f]{32}")
ATTRIBUTE_CHARACTERS = 128  # hawkBit's limit
DOWNLOAD = "/data/hawkbit/bundle.raucb"


class Unusable(Exception):
    """Something that the configuration is made of is missing or not valid."""


class Settings(NamedTuple):
    """What the board file says (`/usr/share/cyclone-capture/hawkbit.json`)."""

    board: str
    server: str
    tenant: str
    token: str
    stream: bool


def settings(path: Path) -> Settings:
    """Settings from the image."""
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise Unusable(f"{path}: {error} (valid: as the image brings it)") from error


def target_name(board: str, machine_id: str) -> str:
    """The board's name on the server."""
    if not MACHINE_ID.fullmatch(machine_id):
        raise Unusable(f"machine id {machine_id!r} (valid: 32 hexadecimal digits, as /etc/machine-id has them)")
    return f"{board}-{hmac.new(bytes.fromhex(machine_id), b'hawkbit', hashlib.sha256).hexdigest()[:16]}"


def token(path: Path) -> str:
    """The token; never shown."""
    valid = f"valid: hawkBit's token alone in it, chmod 600 {path}"
    try:
        facts, text = path.stat(), path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:  # it would show a part of the token
        raise Unusable(f"{path}: no ASCII text ({valid})") from None
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror} ({valid})") from error
    if stat.S_IMODE(facts.st_mode) & TOKEN_PERMISSIONS:
        raise Unusable(f"{path}: others may read it ({valid})")
    if not TOKEN.fullmatch(text):
        raise Unusable(f"{path}: {len(text)} characters, or a blank among them ({valid})")
    return text


def attributes(board: str, hostname: str, version: str, status: dict[str, Any]) -> dict[str, str]:
    """What the server is told of the board; `status` is what `field-update status --json` says."""
    last = status.get("last") or {}
    told = {
        "board": board,
        "hostname": hostname,
        "version": version,
        "slot": status.get("booted") or "unknown",
        "damage": status.get("damage") or "none",
        "upgrade": last.get("event") or "none",
        "upgrade_version": last.get("version") or "none",
        "upgrade_reason": last.get("reason") or "none",
    }
    return {key: " ".join(str(value).split())[:ATTRIBUTE_CHARACTERS] or "none" for key, value in told.items()}


def text(found: Settings, name: str, secret: str, told: dict[str, str]) -> str:
    """The configuration file."""
    download = ["stream_bundle=true"]
    if not found.stream:
        download = [f"bundle_download_location={DOWNLOAD}", "resume_downloads=true"]
    client = [
        f"hawkbit_server={found.server}",
        f"tenant_id={found.tenant}",
        f"target_name={name}",
        f"{TOKEN_KEYS[found.token]}={_escaped(secret)}",
        "ssl=true",
        "ssl_verify=true",
        *download,
        "post_update_reboot=false",  # it would not stop anything first; post-install of RAUC sees to the reboot
        "log_level=message",
    ]
    return "\n".join(["[client]", *client, "", "[device]", *(f"{k}={_escaped(v)}" for k, v in told.items()), ""])


def _escaped(value: str) -> str:
    """A value of a GLib key file, in which a backslash begins an escape."""
    return value.replace("\\", "\\\\")
