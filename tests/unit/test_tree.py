# SPDX-License-Identifier: MIT
"""The tree: bad paths are refused, links in parents are followed, tar files come in whole."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from firmware import tree
from firmware.errors import UserError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("path", ["etc/x", "", "/etc/../x"])
def test_path_that_is_not_absolute_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=r"valid: an absolute path"):
        tree.Tree(1).file(path, "x")


def test_folder_is_not_replaced_by_a_file_nor_the_other_way_round() -> None:
    slot = tree.Tree(1)
    slot.file("/a/b", "x")
    with pytest.raises(UserError, match="/a is a folder already and cannot become a file"):
        slot.file("/a", "x")
    with pytest.raises(UserError, match="/a/b is a file already"):
        slot.folder("/a/b")
    with pytest.raises(UserError, match="/a/b is a file"):
        slot.file("/a/b/c", "x")


def test_loop_of_links_is_refused() -> None:
    slot = tree.Tree(1)
    slot.link("/a", "b")
    slot.link("/b", "a")
    with pytest.raises(UserError, match="too many symbolic links"):
        slot.file("/a/x", "x")


def test_missing_host_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        tree.Tree(1).add_host(tmp_path / "none", "/x")


def test_reading_what_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="no such file in the slot"):
        tree.Tree(1).read("/x")


def test_links_in_parents_are_followed_and_missing_parents_are_made() -> None:
    slot = tree.Tree(7)
    slot.folder("/usr/lib")
    slot.link("/lib", "usr/lib")
    slot.link("/var/run", "../run")
    slot.file("/lib/deep/x", "one", 0o640, 5, 6)
    slot.file("/var/run/y", "two")
    assert slot.text("/usr/lib/deep/x") == "one"
    assert "/run/y" in slot
    assert [path for path, _ in slot.items()] == [
        *("/", "/lib", "/run", "/run/y", "/usr", "/usr/lib", "/usr/lib/deep", "/usr/lib/deep/x", "/var", "/var/run"),
    ]
    assert (slot["/lib/deep/x"].mode, slot["/lib/deep/x"].uid, slot["/lib/deep/x"].mtime) == (0o640, 5, 7)


def test_removing_a_link_keeps_what_it_points_to() -> None:
    slot = tree.Tree(1)
    slot.file("/usr/lib/x", "x")
    slot.link("/lib", "usr/lib")
    slot.remove("/lib")
    assert "/usr/lib/x" in slot
    slot.remove("/usr")
    assert [path for path, _ in slot.items()] == ["/"]


def test_host_folder_comes_in_with_its_links_and_without_bytecode(tmp_path: Path) -> None:
    (tmp_path / "f/__pycache__").mkdir(parents=True)
    (tmp_path / "f/__pycache__/a.pyc").write_text("no")
    (tmp_path / "f/a.py").write_text("yes")
    (tmp_path / "f/off.service").symlink_to("/dev/null")
    slot = tree.Tree(1)
    slot.add_host(tmp_path / "f", "/usr/lib/f", 0o755)
    assert slot.below("/usr/lib/f") == ["/usr/lib/f/a.py", "/usr/lib/f/off.service"]
    assert slot["/usr/lib/f/off.service"].target == "/dev/null"
    assert slot["/usr/lib/f/a.py"].mode == 0o755


def make_tar(path: Path) -> None:
    """A tar file with one member of each kind."""
    with tarfile.open(path, "w") as tar:

        def add(name: str, kind: bytes, content: bytes = b"", link: str = "", mode: int = 0o644) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode, member.size = kind, link, mode, len(content)
            member.uid, member.gid, member.mtime = 3, 4, 200 if name == "./etc/new" else 50
            tar.addfile(member, io.BytesIO(content))

        add("./", tarfile.DIRTYPE, mode=0o755)
        add("./etc/", tarfile.DIRTYPE, mode=0o700)
        add("./etc/old", tarfile.REGTYPE, b"old", mode=0o4755)
        add("./etc/new", tarfile.REGTYPE, b"")
        add("./etc/hard", tarfile.LNKTYPE, link="./etc/old")
        add("./etc/soft", tarfile.SYMTYPE, link="old")
        add("./dev/null", tarfile.CHRTYPE)


def test_tar_comes_in_and_survives_saving(tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar")
    (tmp_path / "files").mkdir()
    tree.from_tar(tmp_path / "a.tar", tmp_path / "files", 100).save(tmp_path / "tree.json")
    (tmp_path / "tree.json").rename(tmp_path / "moved.json")
    slot = tree.load(tmp_path / "moved.json")
    assert [path for path, _ in slot.items()] == ["/", "/etc", "/etc/hard", "/etc/new", "/etc/old", "/etc/soft"]
    old = slot["/etc/old"]
    assert (old.mode, old.uid, old.gid, old.mtime, old.size) == (0o4755, 3, 4, 50, 3)
    assert slot["/etc/new"].mtime == 100, "nothing is younger than the epoch"
    assert slot.text("/etc/hard") == "old"
    assert slot["/etc/soft"].target == "old"
    assert slot["/etc"].mode == 0o700


def test_tree_with_loose_contents_is_not_saved(tmp_path: Path) -> None:
    slot = tree.Tree(1)
    slot.file("/x", "loose")
    with pytest.raises(ValueError, match="in no file"):
        slot.save(tmp_path / "tree.json")


def test_digest_sees_every_fact_of_an_entry() -> None:
    def digest(mode: int = 0o644, uid: int = 0, mtime: int = 1, content: bytes = b"x", path: str = "/a") -> str:
        slot = tree.Tree(1)
        slot.put(path, tree.Entry("file", mode, uid, 0, mtime, content=content))
        return slot.digest()

    changed = [digest(), digest(mode=0o600), digest(uid=1), digest(mtime=0), digest(content=b"y"), digest(path="/b")]
    assert len(set(changed)) == len(changed)
    assert digest() == digest()
