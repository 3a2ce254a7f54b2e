# SPDX-License-Identifier: MIT
"""Who signs a bundle: the development key, a key in a file, a key in a token (PKCS#11), or a command of your own.

Without settings it is the development key (`firmware/keys.py`). A release is signed with what the environment names:

    CYCLONE_CAPTURE_KEYRING       certificates (PEM) that the boards trust: goes into the slot, and must verify the
                                  bundle. Several, one behind the other, while keys are rotated
    CYCLONE_CAPTURE_CERTIFICATE   the signer's certificate: a file, or pkcs11:...
    CYCLONE_CAPTURE_KEY           its private key: a file, or pkcs11:... (RAUC_PKCS11_MODULE and RAUC_PKCS11_PIN are
                                  RAUC's own)
    CYCLONE_CAPTURE_SIGN_COMMAND  instead of the two: a command that gets RAUC's manifest on its standard input and
                                  gives a CMS signature with the content in it (DER) on its standard output
    CYCLONE_CAPTURE_RECIPIENTS    certificates (PEM) of the boards that may read the bundle: it is encrypted to them

The command never sees the bundle: what it signs is the manifest, which holds the root hash of the whole content (RAUC
documentation, "Verity format"). Raises UserError for settings that do not go together.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware import keys, tool
from firmware.errors import ToolError, UserError
from firmware.keys import Keys

PREFIX = "CYCLONE_CAPTURE_"
NAMES = ("KEYRING", "CERTIFICATE", "KEY", "SIGN_COMMAND", "RECIPIENTS")
PKCS11 = "pkcs11:"
COMMAND_SECONDS = 300  # somebody may have to touch a token


@dataclass(frozen=True)
class Signer:
    """`authority` is the keyring; `certificate` and `key` are files or PKCS#11 URLs, or `command` signs instead."""

    authority: Path
    certificate: str
    key: str
    command: str = ""
    recipients: Path | None = None

    @classmethod
    def of(cls, made: Keys) -> Signer:
        """The signer of a folder of keys."""
        return cls(made.authority, str(made.certificate), str(made.key))

    @property
    def identity(self) -> str:
        """What a bundle depends on: changes when another one signs."""
        certificate = self.certificate
        if certificate and not certificate.startswith(PKCS11):
            certificate = Path(certificate).read_text(encoding="utf-8")
        recipients = self.recipients.read_text(encoding="utf-8") if self.recipients else ""
        return "\n".join((self.authority.read_text(encoding="utf-8"), certificate, self.command, recipients))

    @property
    def format(self) -> str:
        """RAUC's format of its bundles."""
        return "crypt" if self.recipients else "verity"

    def options(self) -> list[str]:
        """Options of `rauc` that sign, and verify what was signed."""
        return [f"--cert={self.certificate}", f"--key={self.key}", f"--keyring={self.authority}"]


def chosen(environment: Mapping[str, str] = os.environ) -> Signer:
    """The signer that the environment names, or the development key. Raises UserError."""
    given = {name: value for name in NAMES if (value := environment.get(PREFIX + name, ""))}
    recipients = Path(given.pop("RECIPIENTS")) if "RECIPIENTS" in given else None
    if recipients:
        _need_file("RECIPIENTS", str(recipients))
    if not given:
        made = Signer.of(keys.development())
        return Signer(made.authority, made.certificate, made.key, recipients=recipients)
    if "KEYRING" not in given or not ("SIGN_COMMAND" in given) ^ ({"CERTIFICATE", "KEY"} <= given.keys()):
        raise UserError(
            f"{', '.join(PREFIX + name for name in given)}: these alone do not say how to sign (valid: {PREFIX}KEYRING "
            f"with either {PREFIX}CERTIFICATE and {PREFIX}KEY, or {PREFIX}SIGN_COMMAND; none: the development key)"
        )
    for name in ("KEYRING", "CERTIFICATE", "KEY"):
        if name in given and (name == "KEYRING" or not given[name].startswith(PKCS11)):
            _need_file(name, given[name])
    certificate, key = given.get("CERTIFICATE", ""), given.get("KEY", "")
    return Signer(Path(given["KEYRING"]), certificate, key, given.get("SIGN_COMMAND", ""), recipients)


def _need_file(name: str, value: str) -> None:
    if not Path(value).is_file():
        raise UserError(
            f"{PREFIX}{name}: no file {value} (valid: a file in PEM, or for certificate and key {PKCS11}...)"
        )


def bundle(signer: Signer, content: Path, out: Path, mksquashfs: str, log: Path) -> None:
    """Make the bundle `out` of the folder `content`, signed, encrypted if so chosen, and verified. Raises ToolError."""
    rauc = tool.need("rauc", "rauc")
    out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="signing-", dir=out.parent) as name:
        scratch = Path(name)
        first = Signer.of(keys.make(scratch, "throw-away")) if signer.command else signer
        made = out if not signer.command else scratch / "first.raucb"
        tool.run([rauc, "bundle", *first.options(), f"--mksquashfs-args={mksquashfs}", content, made], log=log)
        if signer.command:
            replace_signature(made, out, first, signer, log)
        tool.run([rauc, "info", f"--keyring={signer.authority}", out], log=log)
        if signer.recipients:  # nobody but them can look into it from here on
            plain = out.rename(scratch / "plain.raucb")
            encrypt = ["encrypt", f"--keyring={signer.authority}", f"--to={signer.recipients}"]
            tool.run([rauc, *encrypt, plain, out], log=log)


def replace_signature(made: Path, out: Path, first: Signer, signer: Signer, log: Path) -> None:
    """The bundle `out`: `made`, which `first` has signed, with the signature of `signer.command`."""
    rauc = tool.need("rauc", "rauc")
    folder = made.parent
    tool.run([rauc, "extract-signature", f"--keyring={first.authority}", made, folder / "first.der"], log=log)
    verify = ["cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", str(folder / "first.der")]
    tool.run([tool.need("openssl", "openssl"), *verify, "-out", folder / "manifest"], log=log)
    signature = run_command(signer.command, (folder / "manifest").read_bytes())
    (folder / "signature.der").write_bytes(signature)
    argv = [rauc, "replace-signature", f"--keyring={first.authority}", f"--signing-keyring={signer.authority}"]
    tool.run([*argv, made, folder / "signature.der", out], log=log)


def run_command(command: str, manifest: bytes) -> bytes:
    """What the user's own command makes of the manifest. Raises ToolError."""
    argv = shlex.split(command)
    try:
        done = subprocess.run(argv, input=manifest, capture_output=True, check=False, timeout=COMMAND_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(argv, 1, str(error), f"{PREFIX}SIGN_COMMAND does not run") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace")[-2000:] or "it printed no signature"
        raise ToolError(argv, done.returncode, said, f"{PREFIX}SIGN_COMMAND did not sign")
    return done.stdout


def resign(made: Path, out: Path, signer: Signer, log: Path) -> None:
    """The bundle `out`: `made`, signed by another signer; its keyring also has the old one's authority."""
    rauc = tool.need("rauc", "rauc")
    out.unlink(missing_ok=True)
    trust = [f"--signing-keyring={signer.authority}", *signer.options()]
    tool.run([rauc, "resign", *trust, made, out], log=log)
