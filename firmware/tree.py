# SPDX-License-Identifier: MIT
"""A file tree in memory: what a slot will hold, before anything is written.

Owner, mode and time are data here, not properties of files on the host: that is why making a slot needs neither root
nor fakeroot, and why the host cannot leak into it. Paths are absolute ("/usr/bin/captured"); a symbolic link in the
parents is followed, so that "/lib/x" lands in "/usr/lib/x" on a merged /usr. `firmware/ext4.py` writes a tree.
"""

from __future__ import annotations

import hashlib
import json
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from firmware.errors import UserError

MAX_LINKS = 40


@dataclass(frozen=True)
class Entry:
    """One file, folder or symbolic link: `mode` is the permission bits, `mtime` seconds since 1970."""

    kind: Literal["file", "folder", "link"]
    mode: int
    uid: int
    gid: int
    mtime: int
    content: bytes | Path = b""  # of a file: its bytes, or a host file that holds them
    target: str = ""  # of a link

    @property
    def size(self) -> int:
        """Bytes of a file's content; 0 for folders and links."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


class Tree:
    """Entries by path. `epoch` is the time of everything that gets no other; nothing in the tree is younger."""

    def __init__(self, epoch: int) -> None:
        """An empty tree with its root folder."""
        self.epoch = epoch
        self._entries: dict[str, Entry] = {"/": Entry("folder", 0o755, 0, 0, epoch)}

    def __getitem__(self, path: str) -> Entry:
        """Entry at `path`; parents that are links are followed."""
        return self._entries[self.resolve(path)]

    def __contains__(self, path: object) -> bool:
        """Whether there is an entry at `path`."""
        return self.resolve(str(path)) in self._entries

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Path and entry, each folder before what is in it, sorted."""
        yield from sorted(self._entries.items(), key=lambda item: PurePosixPath(item[0]).parts)

    def below(self, folder: str) -> list[str]:
        """Paths of all entries below `folder`, sorted."""
        prefix = self.resolve(folder).rstrip("/") + "/"
        return sorted(path for path in self._entries if path.startswith(prefix) and path != "/")

    def resolve(self, path: str) -> str:
        """`path` with the symbolic links in its parents followed. Raises UserError: not absolute, or a loop."""
        if not path.startswith("/") or ".." in path.split("/"):
            raise UserError(f"{path!r} is no path in a slot (valid: an absolute path without ..)")
        for _ in range(MAX_LINKS):
            parents = list(reversed(PurePosixPath(path).parents))
            link = next((p for p in parents if (e := self._entries.get(str(p))) and e.kind == "link"), None)
            if link is None:
                return str(PurePosixPath(path))
            rest = PurePosixPath(path).relative_to(link)
            path = str(self._normal(link.parent / self._entries[str(link)].target / rest))
        raise UserError(f"{path!r}: too many symbolic links")

    @staticmethod
    def _normal(path: PurePosixPath) -> PurePosixPath:
        parts: list[str] = []
        for part in path.parts[1:]:
            if part == "..":
                parts = parts[:-1]
            else:
                parts.append(part)
        return PurePosixPath("/", *parts)

    def put(self, path: str, entry: Entry) -> None:
        """Add or replace one entry; missing parents are made, root's, 0755. Raises UserError: a folder is replaced."""
        path = self.resolve(path)
        old = self._entries.get(path)
        if old is not None and (old.kind == "folder") != (entry.kind == "folder"):
            raise UserError(f"{path} is a {old.kind} already and cannot become a {entry.kind}")
        parent = str(PurePosixPath(path).parent)
        if parent not in self._entries:
            self.put(parent, Entry("folder", 0o755, 0, 0, self.epoch))
        elif self._entries[parent].kind == "file":
            raise UserError(f"{path}: {parent} is a file (valid: a folder)")
        self._entries[path] = entry

    def file(self, path: str, content: bytes | str | Path, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Add or replace a file of the tree's own time."""
        data = content.encode() if isinstance(content, str) else content
        self.put(path, Entry("file", mode, uid, gid, self.epoch, content=data))

    def folder(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Add a folder, or change its mode and owner."""
        self.put(path, Entry("folder", mode, uid, gid, self.epoch))

    def link(self, path: str, target: str) -> None:
        """Add or replace a symbolic link; a file in its place goes away."""
        self.put(path, Entry("link", 0o777, 0, 0, self.epoch, target=target))

    def clear(self, folder: str) -> None:
        """Remove all below `folder`."""
        for below in self.below(folder):
            del self._entries[below]

    def remove(self, path: str) -> None:
        """Remove an entry and all below it; nothing happens when it is not there."""
        path = self.resolve(path)
        if path in self._entries and self._entries[path].kind == "folder":
            self.clear(path)
        self._entries.pop(path, None)

    def read(self, path: str) -> bytes:
        """Content of the file at `path`. Raises UserError when there is none."""
        if path not in self or self[path].kind != "file":
            raise UserError(f"{path}: no such file in the slot")
        content = self[path].content
        return content.read_bytes() if isinstance(content, Path) else content

    def text(self, path: str) -> str:
        """Content of the text file at `path`."""
        return self.read(path).decode()

    def add_host(self, source: Path, path: str, mode: int = 0o644) -> None:
        """Add the host's file at `path`, or all files and links below the host's folder `source`."""
        if source.is_symlink():
            self.link(path, str(source.readlink()))
        elif source.is_file():
            self.file(path, source, mode)
        elif source.is_dir():
            for child in sorted(source.iterdir()):
                if child.name != "__pycache__":
                    self.add_host(child, f"{path.rstrip('/')}/{child.name}", mode)
        else:
            raise UserError(f"{source}: no such file or folder")

    def digest(self) -> str:
        """SHA-256 over everything in the tree, 64 hexadecimal digits."""
        whole = hashlib.sha256()
        for path, e in self.items():
            content = hashlib.sha256(self.read(path)).hexdigest() if e.kind == "file" else ""
            whole.update(f"{path}\0{e.kind} {e.mode} {e.uid} {e.gid} {e.mtime}\0{e.target}\0{content}\n".encode())
        return whole.hexdigest()

    def save(self, path: Path) -> None:
        """Write the tree as JSON; contents must be files in the folder of `path`, or below it."""
        rows = []
        for name, e in self._entries.items():
            if isinstance(e.content, bytes) and e.content:
                raise ValueError(f"{name}: its content is in no file")
            content = e.content.relative_to(path.parent).as_posix() if isinstance(e.content, Path) else ""
            rows.append([name, e.kind, e.mode, e.uid, e.gid, e.mtime, content, e.target])
        path.write_text(json.dumps({"epoch": self.epoch, "entries": rows}))


def load(path: Path) -> Tree:
    """A tree that `save` wrote."""
    found = json.loads(path.read_text())
    tree = Tree(found["epoch"])
    for name, kind, mode, uid, gid, mtime, content, target in found["entries"]:
        tree._entries[name] = Entry(kind, mode, uid, gid, mtime, path.parent / content if content else b"", target)
    return tree


def from_tar(archive: Path, scratch: Path, epoch: int) -> Tree:
    """Tree of a tar file's folders, files and links, no devices; contents go into numbered files of `scratch`."""
    tree = Tree(epoch)
    files: dict[str, Entry] = {}
    with tarfile.open(archive) as tar:
        for number, member in enumerate(tar):
            path = "/" + member.name.removeprefix("./").strip("/")
            facts = (stat.S_IMODE(member.mode), member.uid, member.gid, min(int(member.mtime), epoch))
            if member.isdir():
                tree.put(path, Entry("folder", *facts))
            elif member.issym():
                tree.put(path, Entry("link", 0o777, *facts[1:], target=member.linkname))
            elif member.islnk():  # hard links become files of their own: ext4 would count them, RAUC would not care
                tree.put(path, files["/" + member.linkname.removeprefix("./").strip("/")])
            elif member.isfile():
                place = scratch / str(number)
                stream = tar.extractfile(member)
                if stream is None:
                    raise UserError(f"{archive}: {member.name} cannot be read")
                with stream, place.open("wb") as out:
                    while chunk := stream.read(1 << 20):
                        out.write(chunk)
                files[path] = Entry("file", *facts, content=place)
                tree.put(path, files[path])
    return tree
