# SPDX-License-Identifier: MIT
"""A hundred boards at once on one computer, each played by an SSH server in another process."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from firmware import bench_upgrade, bundle, keys
from firmware.deploy import Offer
from firmware.signing import Signer
from tests.unit import fitting_slot

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not all(map(shutil.which, ("rauc", "dtc"))), reason="no rauc, or no dtc, on this host"),
]
QUICK = {"install": 0.2, "reboot": 0.5, "examine": 0.2}


@pytest.fixture(scope="module")
def offer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Offer, str]:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "keys").mkdir()
    rootfs = fitting_slot.write(fitting_slot.make(folder), folder / "rootfs.ext4", folder)
    signer, made = Signer.of(keys.make(folder / "keys")), folder / "x.raucb"
    bundle.pack(rootfs, bundle.manifest_text(fitting_slot.BOARD, "1.0.0"), signer, made, folder / "log")
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    return Offer("sockit", "1.0.0", made, digest), signer.authority.read_text()


def test_four_boards_over_ssh(offer: tuple[Offer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    bench_upgrade.simulated(tmp_path, *offer, 4, QUICK)
    boards = json.loads((tmp_path / "fleet-4.json").read_text())["boards"]
    assert [(each["action"], each["slot"], each["version"]) for each in boards] == [("committed", "B", "1.0.0")] * 4


@pytest.mark.slow
def test_a_hundred_boards_take_at_most_twice_as_long_as_one(
    offer: tuple[Offer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    one, _ = bench_upgrade.simulated(tmp_path, *offer, 1, {})
    hundred, mib = bench_upgrade.simulated(tmp_path, *offer, 100, {})
    assert hundred <= 2 * one
    assert mib <= 1024
