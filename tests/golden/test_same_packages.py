# SPDX-License-Identifier: MIT
"""Two builds of one commit: BitBake really makes our packages twice, in different places, and they are the same.

Slow. Only recipes for which no compiler has to be built first: OpenEmbedded-Core's recipes count as built
(`openembedded.masked`), `dpkg-deb` and `dtc` are the host's. In place of pseudo, which is not built either, the test
runs as root, so that files belong to root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import lock, openembedded, paths
from tests.golden import tier_one

RECIPES = ("field-update", "base-system", "captured", "fpga-overlay")
MISSING = [name for name in ("dpkg-deb", "dtc") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.golden,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get(lock.MIRRORS), reason="OE_MIRRORS names no mirror of OpenEmbedded"),
    pytest.mark.skipif(os.geteuid() != 0, reason="not root: files in packages would be somebody's"),
    pytest.mark.skipif(bool(MISSING), reason=f"this host has no {', '.join(MISSING)}"),
]

# BitBake asks pseudo to end by -S
FAKEROOT = """\
#!/bin/sh
[ "$1" = -S ] && exit 0
exec "$@"
"""
CONF = """\
PACKAGE_CLASSES = "package_deb"
ASSUME_PROVIDED += "virtual/kernel"
HOSTTOOLS += "dpkg-deb dtc"
FAKEROOTCMD = "{fakeroot}"
FAKEROOTENV = ""
FAKEROOTBASEENV = ""
FAKEROOTNOENV = ""
FAKEROOTDIRS = ""
# what wants tools that are not built
INHERIT:remove = "create-spdx"
SKIP_FILEDEPS = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_PACKAGE_STRIP = "1"
ERROR_QA:remove = "build-deps host-user-contaminated"
WARN_QA:remove = "build-deps host-user-contaminated"
"""


def packages(folder: Path, upstream: dict[str, Path]) -> dict[str, str]:
    """SHA-256 of each package that BitBake makes in `folder`, by its file's name."""
    tree = tier_one.plant(folder / "tree", boards.DEFAULT_BOARD)
    build = openembedded.masked(folder / "build", upstream, tree.board, tree.layers[1], tree.static)
    fakeroot = folder / "fakeroot"
    fakeroot.write_text(FAKEROOT)
    fakeroot.chmod(0o755)
    with (build.folder / "conf" / "local.conf").open("a") as stream:
        stream.write(CONF.format(fakeroot=fakeroot))
    said = build.bitbake(*RECIPES)
    assert said.status == 0, said.text
    made = (build.folder / "tmp" / "deploy" / "deb").rglob("*.deb")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


def test_two_builds_make_the_same_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second in a deeper folder, in another time zone, from sources that were checked out at another time."""
    mirror = openembedded.mirror()
    assert mirror is not None
    upstream = openembedded.trees(mirror)
    first = packages(tmp_path / "one", upstream)
    assert {name.partition("_")[0] for name in first} >= {*RECIPES}

    plant = tier_one.plant

    def planted_later(folder: Path, board: str) -> tier_one.Tree:
        tree = plant(folder, board)
        for name in ("recipes", "LICENSES", "board"):  # the checkout's own stay as they are
            (tree.folder / name).unlink()
            shutil.copytree(paths.ROOT / name, tree.folder / name, symlinks=True)
        later = time.time() + 3 * 86400
        for path in (path for path in tree.folder.rglob("*") if path.is_file() and not path.is_symlink()):
            os.utime(path, (later, later))
        return tree

    monkeypatch.setattr(tier_one, "plant", planted_later)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert packages(tmp_path / "two" / "and" / "deeper", upstream) == first
