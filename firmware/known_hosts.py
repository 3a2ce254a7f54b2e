# SPDX-License-Identifier: MIT
"""Which board has which host key: `<user data>/known_hosts`, in OpenSSH's format, so that `ssh` reads it too.

A key is pinned when a card is made (its alias is the card's host name), or by hand with `--accept-host-key SHA256:...`,
which pins the key that a host offers only if it has that fingerprint. Nothing is ever trusted on first use. A host that
is asked for by another name or by its address is recognised by its key, when that key is pinned; a host whose own name
is pinned must have that key and no other.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from firmware import identity, paths
from firmware.errors import TargetError, UserError


def default_path() -> Path:
    """The user's file."""
    return paths.data() / "known_hosts"


class KnownHosts:
    """The pinned keys in `path`, one line an alias: `alias type base64`."""

    def __init__(self, path: Path | None = None) -> None:
        """Use `path`, or the user's file; it needs not exist."""
        self.path = path or default_path()

    def keys(self) -> dict[str, str]:
        """Pinned key, `type base64`, by alias. Raises UserError for a line that is broken."""
        found: dict[str, str] = {}
        if not self.path.exists():
            return found
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) < 3:
                raise UserError(f"{self.path}:{number}: broken line (valid: an alias, a key type, a key in base64)")
            for alias in words[0].split(","):
                found[alias] = f"{words[1]} {words[2]}"
        return found

    def pin(self, alias: str, key: str) -> None:
        """Pin `key` for `alias`; pinning it again changes nothing. Raises UserError when another key is pinned."""
        key = " ".join(key.split()[:2])
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_name(self.path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            pinned = self.keys().get(alias)
            if pinned == key:
                return
            if pinned is not None:
                raise UserError(f"{alias}: another key is pinned already. {self._forget(alias)}")
            before = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
            if before and not before.endswith("\n"):
                before += "\n"
            _replace(self.path, f"{before}{alias} {key}\n")

    def check(self, host: str, offered: str, accept: str | None = None) -> str:
        """Alias under which the key that `host` offers is pinned; `accept` is a fingerprint to pin it by.

        Raises UserError when it is unknown, TargetError when it differs from the one pinned for `host`.
        """
        offered = " ".join(offered.split()[:2])
        keys, seen = self.keys(), identity.fingerprint(offered)
        pinned = keys.get(host)
        if pinned == offered:
            return host
        if pinned is not None:
            raise TargetError(
                host,
                "its host key has changed: refused, nothing was sent\n"
                f"    pinned:  {identity.fingerprint(pinned)} ({self.path})\n    offered: {seen}\n"
                "Another machine answers at this address, or the card was made anew. "
                "If you are sure that it is your board: " + self._forget(host),
            )
        for alias, key in keys.items():
            if key == offered:
                return alias
        if accept is None:
            raise UserError(
                f"{host}: unknown host, refused. It offers the host key\n    {seen}\n"
                "Compare this with what the board says on its console, or with the card it was made from "
                "(ssh-keygen -lf .../identity/ssh/ssh_host_ed25519_key.pub), then pin it: "
                f"--accept-host-key {seen} (of ./inv ssh, status and deploy)"
            )
        if accept != seen:
            raise UserError(
                f"{host}: --accept-host-key {accept} is not the key that it offers, {seen}: refused "
                "(valid: the fingerprint of your board, read from the board itself)"
            )
        self.pin(host, offered)
        return host

    def _forget(self, alias: str) -> str:
        return f"Remove the line that begins with {alias!r} from {self.path}, then pin the new key."


def _replace(path: Path, text: str) -> None:
    descriptor, scratch = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    Path(scratch).replace(path)
