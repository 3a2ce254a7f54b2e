# SPDX-License-Identifier: MIT
"""Identities and pinned host keys: wrong keys first."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from firmware import identity
from firmware.errors import TargetError, UserError
from firmware.known_hosts import KnownHosts

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "cyclone-capture"


def test_missing_identity_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no key .*nowhere .*valid: an OpenSSH private key"):
        identity.user_key(tmp_path / "nowhere")


def test_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "id"
    path.write_text("not a key\n")
    with pytest.raises(UserError, match="cannot be used as a key"):
        identity.user_key(path)


def test_text_that_is_no_public_key_has_no_fingerprint() -> None:
    for text in ("ssh-ed25519", "ssh-ed25519 !!!", ""):
        with pytest.raises(UserError, match="is no public key"):
            identity.fingerprint(text)


def test_users_key_is_made_once_and_private(own_data: Path) -> None:
    path = identity.user_key()
    before = path.read_bytes()
    assert path == own_data / "ssh" / "id_ed25519"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert identity.user_key().read_bytes() == before
    assert path.with_name("id_ed25519.pub").read_text().startswith(identity.public_of(path) + " ")
    assert sorted(p.name for p in path.parent.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


def test_users_key_is_not_overwritten_when_it_is_broken(own_data: Path) -> None:
    path = own_data / "ssh" / "id_ed25519"
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    with pytest.raises(UserError, match="cannot be used as a key"):
        identity.user_key()
    assert path.read_text() == "precious"


def test_fingerprint_is_the_one_that_openssh_prints(tmp_path: Path) -> None:
    public = tmp_path / "k.pub"
    public.write_text(identity.new_key().public + "\n")
    said = subprocess.run(["ssh-keygen", "-lf", str(public)], check=True, capture_output=True, text=True).stdout  # noqa: S607
    assert identity.fingerprint(public.read_text()) == said.split()[1]


def test_identity_is_well_formed_and_new_each_time() -> None:
    first, second = identity.new("x1"), identity.new("x1")
    assert first.hostname.startswith("x1-")
    assert len(first.hostname) == len("x1-0000")
    octets = [int(octet, 16) for octet in first.ethaddr.split(":")]
    assert len(octets) == 6
    assert octets[0] == 0x02  # locally administered, unicast
    assert len(bytes.fromhex(first.machine_id)) == 16
    assert first.ethaddr != second.ethaddr
    assert first.machine_id != second.machine_id
    assert first.host_key.public != second.host_key.public
    assert first.environment().splitlines()[1] == f"hostname={first.hostname}"


def test_taken_host_name_is_avoided() -> None:
    taken = {f"x1-{number:04x}" for number in range(0x10000) if number != 0xBEEF}
    assert identity.new("x1", taken).hostname == "x1-beef"


def test_unknown_host_is_refused_and_says_how_to_pin(tmp_path: Path) -> None:
    known, offered = KnownHosts(tmp_path / "known"), identity.new_key().public
    with pytest.raises(UserError, match="unknown host") as caught:
        known.check("board-7", offered)
    assert f"--accept-host-key {identity.fingerprint(offered)}" in str(caught.value)
    assert not known.path.exists()


def test_wrong_fingerprint_is_refused(tmp_path: Path) -> None:
    known, offered, other = KnownHosts(tmp_path / "known"), identity.new_key().public, identity.new_key().public
    with pytest.raises(UserError, match="is not the key that it offers"):
        known.check("board-7", offered, identity.fingerprint(other))
    assert not known.path.exists()


def test_changed_key_is_refused_with_both_fingerprints_even_when_accepted(tmp_path: Path) -> None:
    known, old, new = KnownHosts(tmp_path / "known"), identity.new_key().public, identity.new_key().public
    known.pin("board-7", old)
    with pytest.raises(TargetError, match="host key has changed") as caught:
        known.check("board-7", new, identity.fingerprint(new))
    assert identity.fingerprint(old) in str(caught.value)
    assert identity.fingerprint(new) in str(caught.value)
    assert known.keys() == {"board-7": old}


def test_key_pinned_for_another_board_is_still_refused_for_a_pinned_one(tmp_path: Path) -> None:
    known, first, second = KnownHosts(tmp_path / "known"), identity.new_key().public, identity.new_key().public
    known.pin("board-7", first)
    known.pin("board-8", second)
    with pytest.raises(TargetError, match="host key has changed"):
        known.check("board-7", second)


def test_accepted_key_is_pinned(tmp_path: Path) -> None:
    known, offered = KnownHosts(tmp_path / "known"), identity.new_key().public
    assert known.check("board-7", offered, identity.fingerprint(offered)) == "board-7"
    assert known.check("board-7", offered) == "board-7"


def test_board_is_recognised_by_its_key_under_another_address(tmp_path: Path) -> None:
    known, offered = KnownHosts(tmp_path / "known"), identity.new_key().public
    known.pin("x1-0001", offered)
    assert known.check("192.0.2.7", offered) == "x1-0001"


def test_pinning_again_changes_nothing_and_another_key_is_refused(tmp_path: Path) -> None:
    known, key = KnownHosts(tmp_path / "known"), identity.new_key().public
    known.pin("board-7", key + " comment")
    before = known.path.read_text()
    known.pin("board-7", key)
    assert known.path.read_text() == before == f"board-7 {key}\n"
    with pytest.raises(UserError, match="another key is pinned already"):
        known.pin("board-7", identity.new_key().public)


def test_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "known"
    path.write_text("# mine\n\nboard-7 ssh-ed25519\n")
    with pytest.raises(UserError, match=r"known:3: broken line"):
        KnownHosts(path).keys()
