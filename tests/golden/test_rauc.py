# SPDX-License-Identifier: MIT
"""RAUC's system.conf, rendered for each board and read by real rauc, which refuses what it does not know."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware import board, bundle, keys, render
from firmware.signing import Signer

pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif(shutil.which("rauc") is None, reason="no rauc on this host"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Signer]:
    """A bundle to be read with the settings."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "keys").mkdir()
    (folder / "rootfs.ext4").write_bytes(random.Random(1).randbytes(64 << 10))  # noqa: S311  # content of no meaning
    signer = Signer.of(keys.make(folder / "keys"))
    manifest = bundle.manifest_text(board.load("sockit"), "1.0.0")
    bundle.pack(folder / "rootfs.ext4", manifest, signer, folder / "x.raucb", folder / "log")
    return folder / "x.raucb", signer


def read(made: tuple[Path, Signer], settings: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`rauc info` with `settings` as its system.conf."""
    (folder / "system.conf").write_text(settings)
    argv = ["rauc", f"--conf={folder / 'system.conf'}", f"--keyring={made[1].authority}", "info", str(made[0])]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def rendered(name: str, hawkbit: board.Hawkbit | None = None) -> str:
    return render.text("update/system.conf.j2", board.load(name).model_copy(update={"hawkbit": hawkbit}))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pre-install=", "pre-instal=", "Invalid key 'pre-instal' in group"),
        ("verity crypt", "verity crypto", "Invalid bundle format 'crypto'"),
        ("bootloader=uboot", "bootloader=uboat", "Unsupported bootloader 'uboat'"),
        ("[streaming]", "[steaming]", "Invalid group '\\[steaming\\]'|'steaming'"),
    ],
)
def test_settings_that_rauc_does_not_know(
    made: tuple[Path, Signer], tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in rendered("sockit")
    done = read(made, rendered("sockit").replace(old, new), tmp_path)
    assert done.returncode != 0
    assert re.search(said, done.stderr), done.stderr


@pytest.mark.parametrize("name", board.names())
@pytest.mark.parametrize("hawkbit", [None, board.Hawkbit(server="hawkbit.example.org")])
def test_settings_are_taken(
    made: tuple[Path, Signer], tmp_path: Path, name: str, hawkbit: board.Hawkbit | None
) -> None:
    assert ("post-install" in rendered(name, hawkbit)) == (hawkbit is not None)
    done = read(made, rendered(name, hawkbit), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Invalid" not in done.stderr
