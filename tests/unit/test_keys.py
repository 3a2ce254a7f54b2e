# SPDX-License-Identifier: MIT
"""Development keys: never overwritten, private, valid before any clock of a board."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from firmware import keys
from firmware.errors import UserError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", keys.FILES)
def test_missing_file_is_an_error_and_nothing_is_made_anew(name: str) -> None:
    folder = keys.development().folder
    (folder / name).unlink()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match=f"{name} missing .valid: put it back from a backup"):
        keys.development()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("mine")
    with pytest.raises(FileExistsError):
        keys.make(tmp_path)
    assert (tmp_path / "ca.key").read_text() == "mine"


def test_second_use_finds_the_same_keys() -> None:
    first = keys.development().key.read_bytes()
    assert keys.development().key.read_bytes() == first


def test_private_keys_are_private() -> None:
    made = keys.development()
    for path in (made.key, made.folder / "ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_certificates_chain_and_are_valid_without_a_clock() -> None:
    made = keys.development()
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    signer = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    signer.verify_directly_issued_by(authority)
    assert isinstance(signer.public_key(), ec.EllipticCurvePublicKey)
    assert signer.not_valid_before_utc == datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert signer.not_valid_after_utc.year == 2099
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
