# SPDX-License-Identifier: MIT
"""Private keys in an image: each file that holds one is named; a library that knows their header is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import ext4, identity, keys, private_keys
from firmware.tree import Tree
from tests.unit import sound_image

pytestmark = pytest.mark.unit
SIZE = 4 << 20
BEGIN = 1 << 20  # of the file system in its file


def faults(folder: Path, files: dict[str, bytes]) -> list[str]:
    tree = Tree(sound_image.EPOCH)
    for path, content in files.items():
        tree.file(path, content)
    ext4.make(tree, folder / "slot", SIZE, "slot", "seed", folder)
    (folder / "card").write_bytes(bytes(BEGIN) + (folder / "slot").read_bytes())
    return faults_of(folder)


def faults_of(folder: Path) -> list[str]:
    return private_keys.faults(folder / "card", BEGIN, BEGIN + SIZE)


def test_keys_of_every_kind_are_found_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    made = keys.make(tmp_path / "keys")
    certificates = made.authority.read_bytes() * 12
    assert len(certificates) > 2 * ext4.BLOCK_BYTES
    files = {
        "/etc/ssh/ssh_host_ed25519_key": identity.new_key().private.encode(),
        "/usr/share/release.key": made.key.read_bytes(),
        "/usr/share/both.pem": certificates + made.key.read_bytes(),
        "/usr/share/across.pem": b"#" * (ext4.BLOCK_BYTES - 20) + b"\n" + made.key.read_bytes(),
        "/usr/share/named.pem": "friendlyName: Jürgen\n".encode() + made.key.read_bytes(),
        "/usr/share/dos.pem": made.key.read_bytes().replace(b"\n", b"\r\n"),
        "/usr/share/none.pem": certificates,
    }
    assert faults(tmp_path, files) == sorted({*files} - {"/usr/share/none.pem"})


def test_text_about_keys_is_none(tmp_path: Path) -> None:
    text = b"A key begins with\n-----BEGIN OPENSSH PRIVATE KEY-----\nand ends with\n-----END OPENSSH PRIVATE KEY-----\n"
    assert faults(tmp_path, {"/usr/share/doc/README": text, "/usr/lib/ssh.py": b'"-----BEGIN PRIVATE KEY-----"'}) == []


def test_what_has_no_name_is_told_by_its_place(tmp_path: Path) -> None:
    key = identity.new_key().private.encode()
    assert faults(tmp_path, {"/root/key": key}) == ["/root/key"]
    with (tmp_path / "card").open("r+b") as stream:
        stream.seek(BEGIN + SIZE - ext4.BLOCK_BYTES)  # no file's
        stream.write(key)
    assert faults_of(tmp_path) == ["/root/key", f"byte {SIZE - ext4.BLOCK_BYTES:#x}"]


def test_library_that_has_one_among_its_constants_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    key = keys.make(tmp_path / "keys").key.read_bytes()
    library = b"\x7fELF\x01\x01".ljust(2 * ext4.BLOCK_BYTES - 100, b"\0") + key + b"\0" + key + bytes(100)
    assert faults(tmp_path, {"/usr/lib/libgnutls.so.30": library}) == []
