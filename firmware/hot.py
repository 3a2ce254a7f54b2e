# SPDX-License-Identifier: MIT
"""The hot path: one changed recipe onto a running board in seconds, without an image and without an upgrade.

Files go to `/run/hot/<recipe>/` on the board and are bind-mounted over the slot's own, which is read-only and stays as
it is: the next boot runs the slot again. What the slot does not have yet appears through a read-only overlay of the
nearest folder that it has. Byte code of Python files that did not change is the slot's, that of the others is made on
the board (a slot may have none: all is made then). Then the recipe's units are restarted, or the driver is loaded anew.
"""

from __future__ import annotations

import io
import shlex
import tarfile
from pathlib import Path

from firmware import driver, kernel, recipe, render
from firmware.board import Board
from firmware.errors import UserError
from firmware.recipe import Recipe
from firmware.ssh import Target

PLACE = "/run/hot"
DRIVER_MAIN = "src/core.c"
READY_SECONDS = 180
LOAD_SECONDS = 60


def find(name: str, recipes: list[Recipe]) -> Recipe:
    """Recipe `name`. Raises UserError: there is none, or it cannot be pushed."""
    able = [entry.name for entry in recipes if entry.kind == "kernel-module" or entry.enable]
    for entry in recipes:
        if entry.name == name and name in able:
            return entry
    raise UserError(f"--only: {name!r} cannot be pushed (valid: {', '.join(able)}; all else: ./inv deploy)")


def push(board: Board, target: Target, wanted: Recipe) -> None:
    """Bring `wanted` onto the board and into effect. Raises ToolError (it does not compile), TargetError."""
    if wanted.kind == "kernel-module":
        _push_driver(board, target, wanted)
    else:
        _push_files(board, target, wanted)


def archive(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A tar file of contents and modes by path."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def contents(board: Board, wanted: Recipe, recipes: list[Recipe]) -> dict[str, tuple[bytes, int]]:
    """Content and mode of everything that the recipe installs, by path on the board."""
    found: dict[str, tuple[bytes, int]] = {}
    for item in wanted.files:
        source, mode = wanted.folder / item.source, int(item.mode, 8)
        for path in [source] if source.is_file() else sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                below = path.relative_to(source).as_posix()
                found[item.to if path == source else f"{item.to}/{below}"] = (path.read_bytes(), mode)
    for rendered in wanted.rendered:
        text = render.text(rendered.template, board, recipes=recipes)
        found[rendered.to] = (text.encode(), int(rendered.mode, 8))
    return found


def mounts(wanted: Recipe) -> list[str]:
    """Paths on the board that are mounted over: a folder as a whole, else each file."""
    return [item.to for item in wanted.files] + [item.to for item in wanted.rendered]


# Without py_compile, which a slot of Yocto's does not have: PEP 552, the kind "unchecked hash"
COMPILE = """
import marshal, pathlib, sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
for source in pathlib.Path(sys.argv[1]).rglob("*.py"):
    slot, text = pathlib.Path(str(source)[len(sys.argv[1]):]), source.read_bytes()
    known, made = pathlib.Path(cache_from_source(str(slot))), pathlib.Path(cache_from_source(str(source)))
    made.parent.mkdir(exist_ok=True)
    if known.exists() and slot.read_bytes() == text:
        made.write_bytes(known.read_bytes())
    else:
        code = marshal.dumps(compile(text, str(slot), "exec", dont_inherit=True))
        made.write_bytes(MAGIC_NUMBER + (1).to_bytes(4, "little") + source_hash(text) + code)
"""


def script(wanted: Recipe) -> str:
    """Shell script that unpacks the archive on its standard input and puts it into effect."""
    place, over = f"{PLACE}/{wanted.name}", shlex.join(mounts(wanted))
    lines = [
        "set -eu",
        # what an earlier push has mounted; overlays have a name of their own, and the last covers those before
        f"for over in {over} $(sed -n 's/^hot-{wanted.name} \\([^ ]*\\) .*/\\1/p' /proc/mounts | sed '1!G;h;$!d'); do",
        '  while grep -qF " $over " /proc/mounts; do umount -l "$over"; done',
        "done",
        f"rm -rf {place}",
        f"mkdir -p {place}",
        f"tar -xf - -C {place}",
        f"if find {place} -name '*.py' | grep -q .; then python3 -c {shlex.quote(COMPILE)} {place}; fi",
        f"for over in {over}; do",
        '  test ! -e "$over" || continue',
        '  near=$(dirname "$over")',
        '  while test ! -d "$near"; do near=$(dirname "$near"); done',
        f"  mount -t overlay -o ro,lowerdir={place}$near:$near hot-{wanted.name} $near",
        "done",
        f"for over in {over}; do mount --bind {place}$over $over; done",
        "systemctl daemon-reload",
    ]
    return "\n".join([*lines, *(f"systemctl restart {unit}" for unit in wanted.enable)]) + "\n"


def _push_files(board: Board, target: Target, wanted: Recipe) -> None:
    packed = archive(contents(board, wanted, recipe.load_all(wanted.folder.parent)))
    target.output(["sh", "-c", script(wanted)], sudo=True, stdin=packed, timeout=READY_SECONDS)


def _push_driver(board: Board, target: Target, wanted: Recipe) -> None:
    built = driver.build(kernel.build(board), wanted.folder)
    target.output(["mkdir", "-p", PLACE], sudo=True)
    path = f"{PLACE}/{driver.MODULE}"
    target.put((built / driver.MODULE).read_bytes(), path, sudo=True)
    name = Path(driver.MODULE).stem
    load = f"set -eu\nsystemctl stop captured\nrmmod {name}\ninsmod {path}\nudevadm settle\nsystemctl start captured\n"
    target.output(["sh", "-c", load], sudo=True, timeout=LOAD_SECONDS)
