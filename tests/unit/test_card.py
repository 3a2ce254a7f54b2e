# SPDX-License-Identifier: MIT
"""Cards: what is no image first, then a real (empty) ext4 file system, provisioned and read back by debugfs."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from firmware import card, identity, layout
from firmware.card import Entry, Origin
from firmware.errors import ToolError, UserError
from firmware.known_hosts import KnownHosts

pytestmark = pytest.mark.unit
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
ORIGIN = Origin("x1", "1.0", "ab" * 32)


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def blank(path: Path, label: str = layout.DATA.name) -> Path:
    """An image that holds nothing but a data partition."""
    mke2fs = shutil.which("mke2fs", path=SEARCH)
    if mke2fs is None:
        pytest.skip("mke2fs (Debian's e2fsprogs) is not installed")
    with path.open("wb") as stream:
        stream.truncate(layout.IMAGE_BYTES)
    command = [mke2fs, "-q", "-t", "ext4", "-L", label, "-E", f"offset={layout.DATA.offset}", str(path), "16M"]
    subprocess.run(command, check=True)
    return path


def content(path: Path, name: str) -> str:
    """Text of the file `name` on the card's data partition."""
    command = ["debugfs", "-R", f"cat {name}", f"{path}?offset={layout.DATA.offset}"]
    search = {**os.environ, "PATH": SEARCH}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=search).stdout


def test_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no image .*valid: one made by \./inv build"):
        card.create(tmp_path / "none.img", tmp_path / "card", ORIGIN)
    assert not (tmp_path / "card").exists()


def test_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "x.img"
    image.write_bytes(b"short")
    with pytest.raises(UserError, match="no data partition at byte"):
        card.create(image, tmp_path / "card", ORIGIN)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.img"]


def test_file_system_with_another_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="labelled 'data'"):
        card.provision(blank(tmp_path / "x.img", "else"), ORIGIN)


def test_what_cannot_be_written_is_noticed_and_leaves_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = blank(tmp_path / "x.img")
    huge = [Entry("/identity/huge", bytes([1]) * (20 << 20), 0o644)]  # more than the partition holds
    monkeypatch.setattr(card, "entries", lambda *_: huge)
    with pytest.raises(ToolError, match="/identity/huge was not written"):
        card.create(image, tmp_path / "card", ORIGIN)
    assert not (tmp_path / "card").exists()
    assert KnownHosts().keys() == {}


def test_card_has_the_identity_and_the_image_is_untouched(tmp_path: Path) -> None:
    image = blank(tmp_path / "x.img")
    before = image.stat().st_mtime_ns
    path = tmp_path / "folder" / "card"
    made = card.create(image, path, ORIGIN)
    assert image.stat().st_mtime_ns == before
    assert path.stat().st_size == 2 << 30
    assert path.stat().st_blocks * 512 < 64 << 20  # sparse
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert content(path, "/identity/identity.env") == made.environment()
    assert content(path, "/identity/ssh/ssh_host_ed25519_key") == made.host_key.private
    assert content(path, "/identity/ssh/authorized_keys").split() == identity.public_of(identity.user_key()).split()
    origin = json.loads(content(path, "/identity/card.json"))
    assert (origin["board"], origin["version"], origin["image_sha256"]) == ("x1", "1.0", "ab" * 32)
    assert KnownHosts().keys() == {made.hostname: made.host_key.public}


def test_data_partition_is_clean_afterwards(tmp_path: Path) -> None:
    image = blank(tmp_path / "x.img")
    card.provision(image, ORIGIN)
    e2fsck = shutil.which("e2fsck", path=SEARCH)
    assert e2fsck
    done = subprocess.run([e2fsck, "-fn", f"{image}?offset={layout.DATA.offset}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_provisioning_again_gives_another_identity(tmp_path: Path) -> None:
    image = blank(tmp_path / "x.img")
    first, second = card.provision(image, ORIGIN), card.provision(image, ORIGIN, login=["ssh-ed25519 AAAA mine"])
    assert first.hostname != second.hostname
    assert content(image, "/identity/identity.env") == second.environment()
    assert content(image, "/identity/ssh/authorized_keys") == "ssh-ed25519 AAAA mine\n"
    assert set(KnownHosts().keys()) == {first.hostname, second.hostname}


@pytest.mark.parametrize(("size", "wanted"), [(1, 1), (2, 2), (3, 4), (4096, 4096), (4097, 8192)])
def test_power_of_two(size: int, wanted: int) -> None:
    assert card.power_of_two(size) == wanted
