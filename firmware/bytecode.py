# SPDX-License-Identifier: MIT
"""Byte code for the recipes' Python files, made by the slot's own interpreter when the slot is made.

The root is read-only, so the board could never keep what it compiles: it would compile every module anew at each start
of a program, which an 800 MHz core takes seconds for. The interpreter of the slot runs under QEMU's user emulation. The
files are of the kind "unchecked hash" (PEP 552): they hold no time, so they are the same in each build, and they are
used without a look at the source, which on a read-only slot cannot have changed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from firmware import tool
from firmware.tree import MAX_LINKS, Tree

PYTHON = "/usr/bin/python3"
LIBRARIES = re.compile(
    r"/usr/lib/(arm-linux-gnueabihf/)?(ld-linux[^/]*|lib(c|m|z|expat|gcc_s|dl|pthread|util)\.so[^/]*)"
)
# HASHSEED: constants that are sets are written in the order of their hashes
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
PROGRAM = """
import py_compile, sys
for source, target, shown in zip(*[iter(sys.argv[1:])] * 3):
    py_compile.compile(source, target, shown, doraise=True,
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
print(sys.implementation.cache_tag)
"""


def add(tree: Tree, paths: Sequence[str], scratch: Path) -> None:
    """Add byte code of the Python files `paths` to `tree`. Raises ToolError: one does not compile.

    A slot without Python, as tests have, stays as it is.
    """
    if PYTHON not in tree or not paths:
        return
    python = _meant(tree, PYTHON)
    library = f"/usr/lib/{PurePosixPath(python).name}"
    _extract(tree, [python, *_interpreter(tree, library)], scratch / "root")
    (scratch / "code").mkdir(parents=True)
    jobs = []
    for number, path in enumerate(paths):
        (scratch / "code" / f"{number}.py").write_bytes(tree.read(path))
        jobs += [scratch / "code" / f"{number}.py", scratch / "code" / f"{number}.pyc", path]
    emulator = tool.need("qemu-arm-static", "qemu-user-static")
    root = scratch / "root"
    argv: list[str | Path] = [emulator, "-L", root, root / python.lstrip("/"), "-S", "-c", PROGRAM, *map(str, jobs)]
    tag = tool.capture(argv, environment=ENVIRONMENT | {"PYTHONHOME": str(root / "usr")}).strip()
    for number, path in enumerate(paths):
        place = PurePosixPath(path)
        compiled = (scratch / "code" / f"{number}.pyc").read_bytes()
        tree.file(str(place.parent / "__pycache__" / f"{place.stem}.{tag}.pyc"), compiled)


def _interpreter(tree: Tree, library: str) -> list[str]:
    """Files that the interpreter needs to compile: its library's modules, their byte code, and shared libraries."""
    modules = [path for path in tree.below(library) if path.endswith((".py", ".pyc", ".so"))]
    return modules + [path for path, _entry in tree.items() if LIBRARIES.fullmatch(path)]


def _meant(tree: Tree, path: str) -> str:
    """What a path means when links are followed to their end."""
    for _ in range(MAX_LINKS):
        path = tree.resolve(path)
        if path not in tree or tree[path].kind != "link":
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), tree[path].target))
    return path


def _extract(tree: Tree, paths: Sequence[str], root: Path) -> None:
    """Write those files of the tree below `root`; links become copies of what they mean."""
    for path in paths:
        meant = _meant(tree, path)
        if meant in tree and tree[meant].kind == "file":
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(tree.read(meant))
            target.chmod(tree[meant].mode)
    loader = root / "usr/lib/ld-linux-armhf.so.3"
    if loader.exists() and not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
