# SPDX-License-Identifier: MIT
"""Bundles, made by real rauc from a tiny slot: foreign, unsigned and tampered ones do not verify; variants differ."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware import board, bundle, ext4, fit, keys
from firmware.errors import ToolError
from firmware.signing import Signer
from firmware.tree import Tree

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("rauc") is None, reason="no rauc on this host"),
]
EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> bundle.Inputs:
    folder = tmp_path_factory.mktemp("slot")
    (folder / "keys").mkdir()
    slot = Tree(EPOCH)
    slot.file(fit.RELEASE, json.dumps({"board": "sockit", "version": "1"}))
    slot.file("/filler", random.Random(1).randbytes(100_000))  # noqa: S311  # verity wants more than a block
    ext4.make(slot, folder / "rootfs.ext4", 8 << 20, "slot", "seed", folder)
    return bundle.Inputs(
        board.load("sockit"), folder / "rootfs.ext4", "1", EPOCH, Signer.of(keys.make(folder / "keys"))
    )


def info(made: Path, trust: Signer) -> dict[str, object]:
    argv = ["rauc", "info", f"--keyring={trust.authority}", "--output-format=json", str(made)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(argv, done.returncode, done.stderr)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_foreign_signer_does_not_verify(inputs: bundle.Inputs, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    stranger = Signer.of(keys.make(tmp_path / "keys", "Somebody else"))
    made = bundle.variant(inputs, tmp_path / "out", signer=stranger)
    assert info(made, stranger)["version"] == "1"
    with pytest.raises(ToolError, match="signature verification failed"):
        info(made, inputs.signer)


def test_unsigned_bundle_does_not_verify(inputs: bundle.Inputs, tmp_path: Path) -> None:
    made = bundle.variant(inputs, tmp_path)
    bare = bundle.strip_signature(made, tmp_path / "bare.raucb")
    with pytest.raises(ToolError, match=r"(?i)signature"):
        info(bare, inputs.signer)


def test_file_without_a_signature_cannot_lose_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(100))
    with pytest.raises(ToolError, match="does not end with a signature"):
        bundle.strip_signature(tmp_path / "x", tmp_path / "y")


def test_variant_has_its_files_and_version_and_leaves_the_original_alone(inputs: bundle.Inputs, tmp_path: Path) -> None:
    before = inputs.rootfs.read_bytes()
    edits = Tree(EPOCH)
    edits.file("/usr/lib/field-update/health.d/99-fails", "#!/bin/sh\nexit 1\n", 0o755)
    made = bundle.variant(inputs, tmp_path, edits, version="2", for_boards="cyclone-capture-other")
    assert made.name == "2.raucb"
    facts = info(made, inputs.signer)
    assert (facts["version"], facts["compatible"]) == ("2", "cyclone-capture-other")
    trust = f"--keyring={inputs.signer.authority}"
    subprocess.run(
        [shutil.which("rauc") or "", "extract", trust, made, tmp_path / "x"], check=True, capture_output=True
    )
    slot = tmp_path / "x/rootfs.ext4"
    assert "exit 1" in ext4.read(slot, "/usr/lib/field-update/health.d/99-fails")
    assert json.loads(ext4.read(slot, fit.RELEASE)) == {"board": "sockit", "version": "2"}
    assert inputs.rootfs.read_bytes() == before


def test_bundle_is_for_streaming(inputs: bundle.Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[str] = []
    monkeypatch.setattr(fit, "require", lambda _rootfs, compatible: asked.append(compatible))
    folder = bundle.build(inputs, "key")
    assert asked == ["cyclone-capture-sockit"] * 2, "the parts were looked at before and in the finished bundle"
    facts = info(folder / "sockit.raucb", inputs.signer)
    assert (facts["compatible"], facts["version"]) == ("cyclone-capture-sockit", "1")
    assert "format=verity" in bundle.manifest_text(inputs.board, "1")
    assert "adaptive=block-hash-index" in bundle.manifest_text(inputs.board, "1")
    assert bundle.build(inputs, "key") == folder
