# SPDX-License-Identifier: MIT
"""Which hawkBit server, and who asks: its address, the credentials, the certificates that it is verified by.

Credentials come from the environment or from a file, never from the command line, where every process could read them:

    CYCLONE_CAPTURE_HAWKBIT_USER       with _PASSWORD; on a server with several tenants the user is TENANT\\user
    CYCLONE_CAPTURE_HAWKBIT_PASSWORD
    CYCLONE_CAPTURE_HAWKBIT_TOKEN      instead of the two: a bearer token, where the server takes its users from another

    user: publisher                    # the file: --credentials=FILE, or <user data>/hawkbit.yaml; nobody else may
    password: ...                      # read it (chmod 600). Instead of the two: `token`

The environment goes before a file that was not asked for. No error and no `repr` shows a secret. Raises UserError.
"""

from __future__ import annotations

import os
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from firmware import paths
from firmware.board import Strict
from firmware.errors import UserError

PREFIX = "CYCLONE_CAPTURE_HAWKBIT_"
KEYS = ("user", "password", "token")
VALID = "user and password, or token"
OTHERS = 0o077  # permissions of all but the owner


@dataclass(frozen=True)
class Credentials:
    """Who asks: `user` with a password, or a bearer token; `source` says where they come from."""

    source: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """How messages call them."""
        return f"user {self.user!r}, from {self.source}" if self.user else f"the token from {self.source}"


class _File(Strict):
    user: str = ""
    password: str = ""
    token: str = ""


def server(text: str) -> str:
    """The server's address without a slash at its end. Raises UserError: no https, or a secret in it."""
    valid = "valid: --server=https://HOST[:PORT][/PATH]"
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UserError(f"--server: {error} ({valid})") from error
    if parts.username or parts.password:  # without showing it
        raise UserError(f"--server: no user and no password belong into the address ({valid}; see docs/upgrade.md)")
    if parts.scheme != "https":
        raise UserError(f"--server: {text!r} is not encrypted ({valid})" if text else f"--server is missing ({valid})")
    if not parts.hostname or port == 0 or parts.query or parts.fragment or parts.path.rstrip("/").endswith("/rest/v1"):
        raise UserError(f"--server: {text!r} is no server's address ({valid}, without /rest/v1)")
    return text.rstrip("/")


def certificates(path: str | None) -> str | bool:
    """What the server's certificate is verified by: a file in PEM, or what this computer trusts."""
    if path is None:
        own = ssl.get_default_verify_paths()  # OpenSSL's, with SSL_CERT_FILE; requests has a list of its own
        return own.cafile or own.capath or True
    if not Path(path).is_file():
        raise UserError(f"--ca-file: no file {path} (valid: certificates in PEM)")
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise UserError(f"--ca-file: {path}: {error} (valid: certificates in PEM)") from error
    return path


def credentials(path: str | None, environment: Mapping[str, str] = os.environ) -> Credentials:
    """From the file `path`, else from the environment, else from the user's own file."""
    given = {key: value for key in KEYS if (value := environment.get(PREFIX + key.upper(), ""))}
    if path is None and given:
        return _checked("the environment", given, ", ".join(PREFIX + key.upper() for key in given))
    own = paths.data() / "hawkbit.yaml"
    file = Path(path) if path else own
    if not file.is_file():
        raise UserError(
            f"no credentials for the server: no file {file} (valid: {PREFIX}USER and {PREFIX}PASSWORD, or "
            f"{PREFIX}TOKEN, in the environment; or a file with {VALID}: {own}, or another by --credentials)"
        )
    if file.stat().st_mode & OTHERS:
        raise UserError(f"{file}: others may read it (valid: chmod 600 {file})")
    return _checked(str(file), _read(file), str(file))


def _read(file: Path) -> dict[str, str]:
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):  # what the parser says shows the line: from None keeps it out
        raise UserError(f"{file}: no valid YAML (valid: lines as `user: NAME`)") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    try:
        found = _File.model_validate(raw)
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, each["loc"])) or "(whole file)" for each in error.errors())
        raise UserError(f"{file}: {keys}: not valid (valid: {VALID}, each a text)") from None
    return {key: value for key in KEYS if (value := getattr(found, key))}


def _checked(source: str, given: dict[str, str], where: str) -> Credentials:
    if given.keys() not in ({"user", "password"}, {"token"}):
        raise UserError(f"{where}: these alone are no credentials (valid: {VALID})")
    if not all(value.isprintable() for value in given.values()):
        raise UserError(f"{where}: a line break or another control character in it (valid: {VALID}, on one line each)")
    return Credentials(source, **given)
