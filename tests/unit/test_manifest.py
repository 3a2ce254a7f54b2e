# SPDX-License-Identifier: MIT
"""The manifest: missing, foreign and damaged ones are refused with what helps; publishing writes it last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firmware import board, manifest, paths, publish
from firmware.errors import UserError
from firmware.manifest import Content, Promises, SourcePackage

pytestmark = pytest.mark.unit
HASH = "a" * 64


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    made = {name: tmp_path / "cache" / name / "key1" for name in ("image", "bundle", "sbom")}
    for folder in made.values():
        folder.mkdir(parents=True)
        (folder / "sha256").write_text(HASH + "\n")
    (made["image"] / "sockit.img").write_bytes(b"image")
    (made["image"] / "sockit.img.bmap").write_bytes(b"bmap")
    (made["bundle"] / "sockit.raucb").write_bytes(b"bundle")
    (made["sbom"] / "sockit.spdx.json").write_bytes(b"{}")
    return made


def draft(version: str = "0.1.0+abc") -> publish.Draft:
    promises = Promises(
        fabric_id=1, ring_blocks=2, ring_block_bytes=3, stream_port=7700, slots=["A", "B"], units=["ssh.service"]
    )
    source = SourcePackage(package="u-boot", version="1", suite="bookworm", sha256=HASH)
    content = Content(sha256=HASH, bytes=9)
    return publish.Draft(version, "tree", content, "6.12", "2023.01", "c", [source], {"image": "key1"}, promises)


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_missing_manifest_says_build_first(steps: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"not built: .*sockit/yocto/.* --board=sockit --engine=yocto\)"):
        manifest.load_built("sockit", "yocto")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no valid JSON"),
        ("[]", "schema 'list' is not known .valid: 1"),
        ('{"schema": 2}', "schema 2 is not known .valid: 1"),
        ('{"schema": 1}', "board: Field required"),
    ],
)
def test_broken_manifest_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(UserError, match=said):
        manifest.load(tmp_path / "m.json")


def test_unknown_key_and_bad_hash_are_refused(steps: dict[str, Path]) -> None:
    publish.publish(board.load("sockit"), "debian", steps, draft())
    path = manifest.folder("sockit", "debian") / manifest.NAME
    change(path, colour="red", rootfs={"sha256": "short", "bytes": 1})
    with pytest.raises(UserError, match=r"(?s)rootfs\.sha256: .*colour: Extra inputs"):
        manifest.load(path)


def test_manifest_of_another_board_is_refused(steps: dict[str, Path]) -> None:
    publish.publish(board.load("sockit"), "debian", steps, draft())
    change(manifest.folder("sockit", "debian") / manifest.NAME, board="de10-nano")
    with pytest.raises(UserError, match=r"is of board 'de10-nano', engine 'debian' .valid: 'sockit', 'debian'"):
        manifest.load_built("sockit", "debian")


def test_missing_or_cut_file_is_refused(steps: dict[str, Path]) -> None:
    made = publish.publish(board.load("sockit"), "debian", steps, draft())
    made.path("bundle").write_bytes(b"bund")
    with pytest.raises(UserError, match=r"sockit\.raucb: missing, or not of 6 bytes"):
        manifest.load_built("sockit", "debian")


def test_published_set_is_whole_and_found_again(steps: dict[str, Path]) -> None:
    made = publish.publish(board.load("sockit"), "debian", steps, draft())
    assert manifest.load_built("sockit", "debian") == made
    assert made.path("image").read_bytes() == b"image"
    assert made.files["image"].sha256 == HASH, "the stage's own hash: an image is not read again"
    assert made.path("image").stat().st_ino != (steps["image"] / "sockit.img").stat().st_ino


def test_nothing_changed_writes_nothing(steps: dict[str, Path]) -> None:
    publish.publish(board.load("sockit"), "debian", steps, draft())
    place = manifest.folder("sockit", "debian")
    before = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    publish.publish(board.load("sockit"), "debian", steps, draft())
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == before


def test_file_that_somebody_changed_is_put_back(steps: dict[str, Path]) -> None:
    made = publish.publish(board.load("sockit"), "debian", steps, draft())
    made.path("image").write_bytes(b"dirty image")
    publish.publish(board.load("sockit"), "debian", steps, draft())
    assert made.path("image").read_bytes() == b"image"


def test_interrupted_publishing_leaves_no_manifest(steps: dict[str, Path]) -> None:
    publish.publish(board.load("sockit"), "debian", steps, draft())
    newer = {name: folder.rename(folder.with_name("key2")) for name, folder in steps.items()}
    place = manifest.folder("sockit", "debian")
    (place / "sockit.spdx.json").unlink()
    (place / "sockit.spdx.json").mkdir()  # cp cannot replace it
    with pytest.raises(Exception, match=r"sockit\.spdx\.json"):
        publish.publish(board.load("sockit"), "debian", newer, draft("0.1.0+def"))
    assert not (place / manifest.NAME).exists()


def test_file_takes_its_name_when_it_is_whole(steps: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that makes a card meanwhile reads the old image, not half of the new one."""
    image = publish.publish(board.load("sockit"), "debian", steps, draft()).path("image")
    old, seen = image.read_bytes(), {}
    (image.parent / publish.STAMPS).unlink()

    def half(argv: list[object]) -> str:
        Path(str(argv[-1])).write_bytes(b"half")
        seen[Path(str(argv[-2])).name] = image.read_bytes()
        return ""

    monkeypatch.setattr("firmware.publish.tool.capture", half)
    publish.publish(board.load("sockit"), "debian", steps, draft())
    assert seen[image.name] == old
