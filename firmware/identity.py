# SPDX-License-Identifier: MIT
"""Who is who: the user's SSH key for boards, and what makes one card's board differ from another's.

A card's identity (host name, MAC address, machine id, SSH host key) is made when the card is made, lives on its `data`
partition and survives every upgrade; see docs/interfaces.md, "Identity, on `data`". The MAC address is locally
administered (IEEE 802-2014, 8.4: second-least significant bit of the first octet), because these boards have none
burned in. Keys are Ed25519 in OpenSSH's format.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import hashlib
import os
import re
import secrets
import tempfile
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from firmware import paths
from firmware.errors import UserError

KEY_TYPE = "ssh-ed25519"
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")  # of a SHA-256, in base64 without its filling


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key: `private` is the text of OpenSSH's key file, `public` is `ssh-ed25519 <base64>`."""

    private: str
    public: str


@dataclass(frozen=True)
class Identity:
    """What one card's board is called and how it proves who it is."""

    hostname: str
    ethaddr: str
    machine_id: str
    host_key: KeyPair

    def environment(self) -> str:
        """Text of `identity.env`, as U-Boot's `env import -t` reads it."""
        return f"ethaddr={self.ethaddr}\nhostname={self.hostname}\nmachine_id={self.machine_id}\n"


def new_key() -> KeyPair:
    """A fresh key pair."""
    key = ed25519.Ed25519PrivateKey.generate()
    return KeyPair(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode(),
        _public(key.public_key()),
    )


def new(board: str, taken: Iterable[str] = ()) -> Identity:
    """A fresh identity for a card of `board`; `taken` are host names that it must not get."""
    used = set(taken)
    hostname = f"{board}-{secrets.token_hex(2)}"
    while hostname in used:
        hostname = f"{board}-{secrets.token_hex(2)}"
    ethaddr = ":".join(f"{octet:02x}" for octet in b"\x02" + secrets.token_bytes(5))
    return Identity(hostname, ethaddr, uuid.uuid4().hex, new_key())


def user_key_path() -> Path:
    """File of the user's key for boards."""
    return paths.data() / "ssh" / "id_ed25519"


def user_key(path: Path | None = None) -> Path:
    """File of the private key to log in with: `path`, or the user's key for boards, made on first use.

    An existing file is never overwritten. Raises UserError when `path` is missing or is no OpenSSH Ed25519 key.
    """
    if path is None:
        path = user_key_path()
        if not path.exists():
            _write_new(path, new_key())
    elif not path.is_file():
        raise UserError(f"no key {path} (valid: an OpenSSH private key, made by ssh-keygen -t ed25519)")
    public_of(path)
    return path


def public_of(path: Path) -> str:
    """Public half, `ssh-ed25519 <base64>`, of the private key in `path`. Raises UserError."""
    wanted = "an OpenSSH private key of type ed25519 without a passphrase, made by ssh-keygen -t ed25519"
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"{path}: cannot be used as a key: {error} (valid: {wanted})") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UserError(f"{path}: a key of type {type(key).__name__} (valid: {wanted})")
    return _public(key.public_key())


def check_fingerprint(text: str) -> str:
    """The same text, when it can be a fingerprint. Raises UserError."""
    if not FINGERPRINT.fullmatch(text):
        raise UserError(f"--accept-host-key: {text!r} is no fingerprint (valid: SHA256: and 43 characters of base64)")
    return text


def fingerprint(public: str) -> str:
    """Fingerprint, `SHA256:...` as OpenSSH prints it, of a public key line. Raises UserError when it is none."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise UserError(f"{public[:60]!r} is no public key (valid: a type, a space, base64)") from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _public(key: ed25519.Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _write_new(path: Path, key: KeyPair) -> None:
    """Write the pair; the private half appears whole, by a link that fails when another process was quicker."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(key.private)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            Path(path).hardlink_to(scratch)
        except FileExistsError:
            return
        path.with_name(path.name + ".pub").write_text(f"{key.public} {getpass.getuser()} (cyclone-capture)\n")
    finally:
        Path(scratch).unlink()
