# SPDX-License-Identifier: MIT
"""The file system: made by real mke2fs and debugfs on small images; twice the same, and what goes wrong is said."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from firmware import ext4
from firmware.errors import ToolError, UserError
from firmware.tree import Entry, Tree

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("debugfs", path="/usr/sbin:/sbin") is None, reason="no e2fsprogs on this host"),
]
EPOCH = 1_700_000_000
MIB = 1 << 20


def sample() -> Tree:
    slot = Tree(EPOCH)
    slot.file("/usr/bin/sudo", b"\0\1" * 5000, 0o4755)
    slot.file("/home/me/my notes", "text", 0o600, 1000, 1001)
    slot.link("/bin", "usr/bin")
    slot.link("/etc/long", "/usr/" + "x" * 80)
    slot.put("/etc/old", Entry("file", 0o644, 0, 0, 86400, content=b"old"))
    slot.folder("/sticky", 0o1777)
    for number in range(300):  # more than one block of folder entries
        slot.file(f"/many/file-with-a-rather-long-name-{number:04}", b"")
    return slot


def make(folder: Path, slot: Tree, size: int = 8 * MIB) -> Path:
    folder.mkdir()
    image = folder / "fs.ext4"
    ext4.make(slot, image, size, "slot", "seed", folder)
    return image


def debugfs(image: Path, command: str) -> str:
    argv = ["/usr/sbin/debugfs", "-R", command, str(image)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_content_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    slot = sample()
    slot.file("/big", bytes(range(256)) * 4096 * 8)
    with pytest.raises(ToolError, match=r"(?i)debugfs complained|no space|could not allocate"):
        make(tmp_path / "a", slot, 4 * MIB)


def test_name_that_a_script_cannot_carry_is_refused(tmp_path: Path) -> None:
    slot = Tree(EPOCH)
    slot.file("/a\nb", "x")
    with pytest.raises(UserError, match="control characters"):
        make(tmp_path / "a", slot)


def test_missing_content_is_an_error(tmp_path: Path) -> None:
    slot = Tree(EPOCH)
    slot.put("/x", Entry("file", 0o644, 0, 0, EPOCH, content=tmp_path / "none"))
    with pytest.raises(ToolError, match="No such file"):
        make(tmp_path / "a", slot)


def test_damaged_file_system_is_found(tmp_path: Path) -> None:
    image = make(tmp_path / "a", sample())
    subprocess.run(["/usr/sbin/debugfs", "-w", "-R", "clri /etc/old", str(image)], check=True, capture_output=True)
    with pytest.raises(ToolError):
        ext4.check(image)


def test_reading_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="/none is not in"):
        ext4.read(make(tmp_path / "a", sample()), "/none")


def test_twice_the_same_whatever_the_host_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(tmp_path / "a", sample())
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("MKE2FS_CONFIG", str(tmp_path / "none"))
    second = make(tmp_path / "b", sample())
    assert first.read_bytes() == second.read_bytes()


def test_modes_owners_times_and_contents_arrive(tmp_path: Path) -> None:
    image = make(tmp_path / "a", sample())
    assert ext4.read(image, "/home/me/my notes") == "text"
    sudo = debugfs(image, "stat /usr/bin/sudo")
    assert "Mode:  04755" in sudo
    assert "Size: 10000" in sudo
    notes = debugfs(image, 'stat "/home/me/my notes"')
    assert "User:  1000   Group:  1001" in notes
    assert "Mode:  01777" in debugfs(image, "stat /sticky")
    assert 'Fast link dest: "usr/bin"' in debugfs(image, "stat /bin")
    assert f"mtime: 0x{86400:08x}" in debugfs(image, "stat /etc/old")
    assert f"mtime: 0x{EPOCH:08x}" in sudo
    assert f"crtime: 0x{EPOCH:08x}" in sudo
    assert len(debugfs(image, "ls -p /many").split()) >= 300


def test_u_boot_can_read_the_features(tmp_path: Path) -> None:
    features = debugfs(make(tmp_path / "a", sample()), "features")
    assert not {"64bit", "metadata_csum", "metadata_csum_seed", "orphan_file", "has_journal"} & set(features.split())


def test_edit_replaces_adds_and_leaves_the_rest(tmp_path: Path) -> None:
    image = make(tmp_path / "a", sample())
    changes = Tree(EPOCH)
    changes.file("/etc/old", "new", 0o600)
    changes.file("/etc/more/added", "added", 0o755)
    (tmp_path / "s").mkdir()
    ext4.edit(image, changes, tmp_path / "s")
    assert ext4.read(image, "/etc/old") == "new"
    assert ext4.read(image, "/etc/more/added") == "added"
    assert "Mode:  0600" in debugfs(image, "stat /etc/old")
    assert ext4.read(image, "/home/me/my notes") == "text"


def test_size_is_enough_and_whole_mebibytes(tmp_path: Path) -> None:
    slot = sample()
    size = ext4.wanted_bytes(slot, MIB)
    assert size % MIB == 0
    make(tmp_path / "a", slot, size)
