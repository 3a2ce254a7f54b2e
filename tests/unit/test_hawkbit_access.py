# SPDX-License-Identifier: MIT
"""Which server and who asks: wrong addresses and credentials first; no secret is ever shown."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from firmware import hawkbit_access, signing
from firmware.errors import UserError
from firmware.hawkbit_access import PREFIX, Credentials

pytestmark = pytest.mark.unit
SECRET = "".join(("s3", "cret"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--server is missing"),
        ("hawkbit.example.org", "is not encrypted"),
        ("http://hawkbit.example.org", r"is not encrypted \(valid: --server=https://HOST"),
        ("ftp://hawkbit.example.org", "is not encrypted"),
        ("https://", "is no server's address"),
        ("https://hawkbit.example.org:0", "is no server's address"),
        ("https://hawkbit.example.org:99999", "Port out of range"),
        ("https://hawkbit.example.org/?tenant=x", "is no server's address"),
        ("https://hawkbit.example.org/rest/v1", "without /rest/v1"),
        (f"https://publisher:{SECRET}@hawkbit.example.org", "no user and no password belong into the address"),
    ],
)
def test_wrong_server(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        hawkbit_access.server(text)
    assert SECRET not in str(error.value)


def test_server() -> None:
    assert hawkbit_access.server("https://hawkbit.example.org:8443/") == "https://hawkbit.example.org:8443"
    assert hawkbit_access.server("https://example.org/hawkbit/") == "https://example.org/hawkbit"


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--ca-file: no file"):
        hawkbit_access.certificates(str(tmp_path / "none.pem"))
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(UserError, match=r"--ca-file: .*none\.pem: .*valid: certificates in PEM"):
        hawkbit_access.certificates(str(tmp_path / "none.pem"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    own = str(signing.chosen().authority)
    assert hawkbit_access.certificates(own) == own
    known = ssl.get_default_verify_paths()
    assert hawkbit_access.certificates(None) in (known.cafile, known.capath, True)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (f"user: a\npassword: {SECRET}\n", 0o640, r"others may read it \(valid: chmod 600"),
        (f"user: a\npassword: {SECRET}\n", 0o604, "others may read it"),
        (f"password: {SECRET}\n", 0o600, r"these alone are no credentials \(valid: user and password, or token"),
        ("user: a\n", 0o600, "these alone are no credentials"),
        (f"user: a\npassword: {SECRET}\ntoken: x\n", 0o600, "these alone are no credentials"),
        (f"user: a\npasswort: {SECRET}\n", 0o600, "passwort: not valid"),
        (
            "user: a\npassword: 123456\n",
            0o600,
            r"password: not valid \(valid: user and password, or token, each a text",
        ),
        (f'user: a\npassword: "{SECRET}\\n"\n', 0o600, "a line break"),
        (f"user: a\npassword: '{SECRET}\n", 0o600, "no valid YAML"),
        (f"- {SECRET}\n", 0o600, r"\(whole file\): not valid"),
        ("", 0o600, r"\(whole file\): not valid"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, mode: int, message: str) -> None:
    file = tmp_path.parent / "hawkbit.yaml"  # pytest names tmp_path by the parameters
    file.unlink(missing_ok=True)
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(UserError, match=message) as error:
        hawkbit_access.credentials(str(file), {})
    assert SECRET not in str(error.value)
    assert "123456" not in str(error.value)
    assert str(file) in str(error.value)


def test_no_credentials_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"no credentials .*{PREFIX}USER and .*hawkbit.yaml, or another by"):
        hawkbit_access.credentials(None, {})


@pytest.mark.parametrize("names", [("USER",), ("PASSWORD",), ("USER", "TOKEN"), ("USER", "PASSWORD", "TOKEN")])
def test_wrong_environment(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=f"{PREFIX}{names[0]}.*these alone are no credentials") as error:
        hawkbit_access.credentials(None, {PREFIX + name: SECRET for name in names})
    assert SECRET not in str(error.value)


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    own = tmp_path / "cyclone-capture" / "hawkbit.yaml"
    own.parent.mkdir()
    own.write_text(f"token: {SECRET}\n")
    own.chmod(0o600)
    environment = {PREFIX + "USER": "TENANT\\a", PREFIX + "PASSWORD": SECRET}
    assert hawkbit_access.credentials(None, {}) == Credentials(str(own), token=SECRET)
    found = hawkbit_access.credentials(None, environment)
    assert found == Credentials("the environment", "TENANT\\a", SECRET)
    assert hawkbit_access.credentials(str(own), environment).token == SECRET, "a file that was asked for goes first"
    assert SECRET not in repr(found) + found.name
