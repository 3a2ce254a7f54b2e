# SPDX-License-Identifier: MIT
"""Signing, by real rauc and OpenSSL: settings that make no sense first, then each kind of signer and of key."""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware import keys, signing
from firmware.errors import ToolError, UserError
from firmware.signing import Signer

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("rauc") is None, reason="no rauc on this host"),
]
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
MANIFEST = "[update]\ncompatible=x\nversion=1\n\n[bundle]\nformat={form}\n\n[image.rootfs]\nfilename=rootfs.ext4\n"
PIN = "4711"


def new_keys(folder: Path, name: str) -> keys.Keys:
    (folder / name).mkdir()
    return keys.make(folder / name, name)


@pytest.fixture
def company(tmp_path: Path) -> keys.Keys:
    return new_keys(tmp_path, "company")


def make(folder: Path, signer: Signer, name: str = "x.raucb") -> Path:
    content = folder / f"content-{name}"
    content.mkdir()
    (content / "manifest.raucm").write_text(MANIFEST.format(form=signer.format))
    (content / "rootfs.ext4").write_bytes(random.Random(1).randbytes(64 << 10))  # noqa: S311  # content of no meaning
    signing.bundle(signer, content, folder / name, "-comp gzip", folder / "log")
    return folder / name


def verify(bundle: Path, keyring: Path, *more: str) -> str:
    """What rauc says of a bundle. Raises ToolError when it does not verify."""
    argv = ["rauc", *more, "info", f"--keyring={keyring}", str(bundle)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(argv, done.returncode, done.stderr)
    return done.stdout


@pytest.mark.parametrize(
    "given",
    [
        {"KEYRING": "ca.pem"},
        {"CERTIFICATE": "signer.pem", "KEY": "signer.key"},
        {"SIGN_COMMAND": "cat"},
        {"KEYRING": "ca.pem", "CERTIFICATE": "signer.pem"},
        {"KEYRING": "ca.pem", "CERTIFICATE": "signer.pem", "KEY": "signer.key", "SIGN_COMMAND": "cat"},
    ],
)
def test_settings_that_do_not_go_together(given: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"do not say how to sign .valid: CYCLONE_CAPTURE_KEYRING with either"):
        signing.chosen({signing.PREFIX + name: value for name, value in given.items()})


@pytest.mark.parametrize("name", ["KEYRING", "CERTIFICATE", "KEY", "RECIPIENTS"])
def test_file_that_is_not_there(company: keys.Keys, tmp_path: Path, name: str) -> None:
    given = {"KEYRING": company.authority, "CERTIFICATE": company.certificate, "KEY": company.key}
    given[name] = tmp_path / "missing.pem"
    with pytest.raises(UserError, match=rf"{name}: no file .*missing.pem"):
        signing.chosen({signing.PREFIX + key: str(value) for key, value in given.items()})


def test_a_keyring_is_no_token(company: keys.Keys) -> None:
    given = {"KEYRING": "pkcs11:object=x", "CERTIFICATE": str(company.certificate), "KEY": "pkcs11:object=x"}
    with pytest.raises(UserError, match="KEYRING: no file pkcs11:object=x"):
        signing.chosen({signing.PREFIX + key: value for key, value in given.items()})


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/no/such/program", "SIGN_COMMAND does not run"),
        ("false", "SIGN_COMMAND did not sign"),
        ("true", "it printed no signature"),
        ("echo nonsense", "replace-signature"),
    ],
)
def test_command_that_does_not_sign(tmp_path: Path, company: keys.Keys, command: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        make(tmp_path, Signer(company.authority, "", "", command))


def cms(by: keys.Keys) -> str:
    """A signing command, as somebody may have one."""
    argv = ["openssl", "cms", "-sign", "-binary", "-nosmimecap", "-nodetach", "-outform", "DER"]
    return shlex.join([*argv, "-signer", str(by.certificate), "-inkey", str(by.key)])


def test_command_that_signs_with_a_foreign_key(tmp_path: Path, company: keys.Keys) -> None:
    stranger = new_keys(tmp_path, "stranger")
    with pytest.raises(ToolError, match=r"(?i)signature|certificate"):
        make(tmp_path, Signer(company.authority, "", "", cms(stranger)))


def test_development_key_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert signing.chosen({}) == Signer.of(keys.development())


def test_key_in_a_file(tmp_path: Path, company: keys.Keys) -> None:
    given = {"KEYRING": company.authority, "CERTIFICATE": company.certificate, "KEY": company.key}
    signer = signing.chosen({signing.PREFIX + key: str(value) for key, value in given.items()})
    assert "O = company" in verify(make(tmp_path, signer), company.authority)


def test_command_that_signs(tmp_path: Path, company: keys.Keys) -> None:
    given = {"CYCLONE_CAPTURE_KEYRING": str(company.authority), "CYCLONE_CAPTURE_SIGN_COMMAND": cms(company)}
    said = verify(make(tmp_path, signing.chosen(given)), company.authority)
    assert "O = company" in said
    assert "throw-away" not in said


@pytest.mark.skipif(not SOFTHSM.exists(), reason="no softhsm2 on this host")
def test_key_in_a_token(tmp_path: Path, company: keys.Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("RAUC_PKCS11_MODULE", str(SOFTHSM))
    monkeypatch.setenv("RAUC_PKCS11_PIN", PIN)
    token = ["softhsm2-util", "--token", "release"]
    new = ["softhsm2-util", "--init-token", "--free", "--label", "release", "--so-pin", PIN, "--pin", PIN]
    key = ["--import", str(company.key), "--label", "signer", "--id", "01", "--pin", PIN]
    for argv in (new, [*token, *key]):
        subprocess.run(argv, check=True, capture_output=True)
    given = {"KEYRING": str(company.authority), "CERTIFICATE": str(company.certificate)}
    given["KEY"] = "pkcs11:token=release;object=signer"
    signer = signing.chosen({signing.PREFIX + name: value for name, value in given.items()})
    assert "O = company" in verify(make(tmp_path, signer), company.authority)


def test_keys_are_rotated_in_three_steps(tmp_path: Path, company: keys.Keys) -> None:
    """docs/security.md: old boards trust the old key, then both, then the new one alone."""
    new = new_keys(tmp_path, "new")
    both = tmp_path / "both.pem"
    both.write_text(company.authority.read_text() + new.authority.read_text())
    first = make(tmp_path, Signer(both, str(company.certificate), str(company.key)), "first.raucb")
    assert "O = company" in verify(first, company.authority), "boards of before take what brings the new key"
    second = tmp_path / "second.raucb"
    signing.resign(first, second, Signer(both, str(new.certificate), str(new.key)), tmp_path / "log")
    assert "O = new" in verify(second, both), "boards with both keys take it"
    assert "O = new" in verify(second, new.authority)
    with pytest.raises(ToolError, match="signature verification failed"):
        verify(second, company.authority)


def test_encrypted_bundle_is_for_its_recipients_alone(tmp_path: Path, company: keys.Keys) -> None:
    board, other = new_keys(tmp_path, "board"), new_keys(tmp_path, "other")
    made = make(tmp_path, Signer(company.authority, str(company.certificate), str(company.key), "", board.authority))
    assert random.Random(1).randbytes(64) not in made.read_bytes()  # noqa: S311  # the content, had it been readable
    for owner, wrong in ((other, True), (board, False)):
        config = tmp_path / "system.conf"
        encryption = f"[encryption]\nkey={owner.folder / 'ca.key'}\ncert={owner.authority}\n"
        config.write_text(f"[system]\ncompatible=x\nbootloader=noop\n\n{encryption}")
        if wrong:
            with pytest.raises(ToolError, match=r"(?i)decrypt"):
                verify(made, company.authority, f"--conf={config}")
        else:
            assert "Format: \tcrypt" in verify(made, company.authority, f"--conf={config}").replace("  ", " ")


def test_bundle_depends_on_who_signs(tmp_path: Path, company: keys.Keys) -> None:
    stranger = new_keys(tmp_path, "stranger")
    one = Signer.of(company)
    others = [Signer.of(stranger), Signer(company.authority, one.certificate, one.key, "", stranger.authority)]
    others.append(Signer(company.authority, "", "", "sign"))
    assert len({signer.identity for signer in (one, *others)}) == 4
