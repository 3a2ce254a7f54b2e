# SPDX-License-Identifier: MIT
"""Development keys: a certificate authority and one signing certificate, made on first use in the user's data folder.

A board takes a bundle only when its signature chains to the authority that was built into its slot, so these keys are
never overwritten: who loses them can no longer upgrade the boards that trust them. They are for development: a release
is signed with a key that no build machine holds. Certificates are valid from 2020 (boards have no clock that runs while
they are off) to 2099. No extended key usage: RAUC's default purpose check (S/MIME signing) then passes.
"""

from __future__ import annotations

import datetime
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firmware import paths
from firmware.errors import UserError

NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
NOT_AFTER = datetime.datetime(2099, 12, 31, tzinfo=datetime.UTC)
Validity = tuple[datetime.datetime, datetime.datetime]
FILES = ("ca.pem", "ca.key", "signer.pem", "signer.key")


@dataclass(frozen=True)
class Keys:
    """A folder with the four files; `authority` goes into slots, `certificate` and `key` sign bundles."""

    folder: Path

    @property
    def authority(self) -> Path:
        """Certificate of the authority (PEM)."""
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Signing certificate (PEM)."""
        return self.folder / "signer.pem"

    @property
    def key(self) -> Path:
        """Private key of the signing certificate (PEM, not encrypted, 0600)."""
        return self.folder / "signer.key"


def development() -> Keys:
    """The user's development keys, made when there are none. Raises UserError: some of the files are missing."""
    folder = paths.data() / "keys"
    if folder.exists():
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"{folder}: {', '.join(missing)} missing (valid: put it back from a backup; or move the folder away: "
                "new keys are made, and boards that trust the old ones take no more upgrades)"
            )
        return Keys(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".keys-", dir=folder.parent))
    make(scratch)
    try:
        scratch.rename(folder)
    except OSError:  # another build was quicker: its keys are the keys
        for name in FILES:
            (scratch / name).unlink()
        scratch.rmdir()
    return Keys(folder)


def make(folder: Path, organisation: str = "Cyclone Capture development") -> Keys:
    """Make the four files in `folder`, which exists and holds none of them."""
    authority, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    for file, key in (("ca.key", authority), ("signer.key", signer)):
        _write(folder / file, _private(key), 0o600)
    root = _certificate(organisation, "authority", authority.public_key(), authority, ca=True)
    _write(folder / "ca.pem", root, 0o644)
    _write(folder / "signer.pem", _certificate(organisation, "bundle signer", signer.public_key(), authority), 0o644)
    return Keys(folder)


def issue(folder: Path, by: Keys, valid: Validity) -> Keys:
    """Another signer of the authority `by`, valid from and until the given times, in `folder`."""
    root = x509.load_pem_x509_certificate(by.authority.read_bytes())
    authority = serialization.load_pem_private_key((by.folder / "ca.key").read_bytes(), None)
    assert isinstance(authority, ec.EllipticCurvePrivateKey)  # noqa: S101  # for mypy: make() wrote it
    signer = ec.generate_private_key(ec.SECP256R1())
    organisation = str(root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)
    _write(folder / "ca.pem", by.authority.read_bytes(), 0o644)
    _write(folder / "signer.key", _private(signer), 0o600)
    made = _certificate(organisation, "bundle signer", signer.public_key(), authority, valid=valid)
    _write(folder / "signer.pem", made, 0o644)
    return Keys(folder)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(organisation: str, common: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(
    organisation: str,
    subject: str,
    public: ec.EllipticCurvePublicKey,
    signing: ec.EllipticCurvePrivateKey,
    ca: bool = False,
    valid: Validity = (NOT_BEFORE, NOT_AFTER),
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(organisation, subject))
        .issuer_name(_name(organisation, "authority"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(_usage(ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
