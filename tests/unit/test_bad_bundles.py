# SPDX-License-Identifier: MIT
"""Bad bundles, made and read by real rauc: every kind is refused before anything is sent, with a reason."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from pathlib import Path

import pytest

from firmware import bundle, inspection, keys
from firmware.bad_bundles import KINDS, Workshop
from firmware.errors import UserError
from firmware.signing import Signer
from tests.unit import fitting_slot

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not all(map(shutil.which, ("rauc", "dtc"))), reason="no rauc, or no dtc, on this host"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "keys").mkdir()
    rootfs = fitting_slot.write(fitting_slot.make(folder), folder / "rootfs.ext4", folder)
    signer = Signer.of(keys.make(folder / "keys"))
    inputs = bundle.Inputs(fitting_slot.BOARD, rootfs, "1.2.3", 1_700_000_000, signer)
    good = folder / "good.raucb"
    bundle.pack(rootfs, bundle.manifest_text(inputs.board, inputs.version), signer, good, folder / "log")
    return Workshop(inputs, good, folder)


def test_there_are_forty_kinds() -> None:
    assert len(KINDS) >= 40


@pytest.mark.parametrize("name", KINDS)
def test_bad_bundle_is_refused(shop: Workshop, name: str) -> None:
    kind = KINDS[name]
    made = kind.make(shop)
    assert made != shop.good
    assert made.read_bytes() != shop.good.read_bytes(), "it differs from the good one"
    with pytest.raises(UserError, match=kind.said) as refused:
        inspection.inspect(made, shop.inputs.signer.authority)
    assert "rauc does not say why" not in str(refused.value)


def test_good_bundle_is_taken(shop: Workshop) -> None:
    found = inspection.inspect(shop.good, shop.inputs.signer.authority)
    assert found == inspection.Content("cyclone-capture-sockit", "1.2.3", 4 << 20, False)


@pytest.mark.parametrize(
    ("year", "said"), [(2024, "certificate is not yet valid"), (2026, ""), (2031, "certificate has expired")]
)
def test_certificate_is_judged_by_the_boards_clock(shop: Workshop, tmp_path: Path, year: int, said: str) -> None:
    begin, end = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2025, 2030))
    issued = keys.issue(tmp_path, keys.Keys(shop.inputs.signer.authority.parent), (begin, end))
    made = shop.resigned(f"year-{year}", issued)
    at = int(datetime.datetime(year, 6, 1, tzinfo=datetime.UTC).timestamp())
    assert inspection.out_of_time(made, issued.authority.read_text(), at) == said


def test_authority_is_judged_by_the_boards_clock_too(shop: Workshop) -> None:
    trusted = shop.inputs.signer.authority.read_text()
    assert inspection.out_of_time(shop.good, trusted, 86_400) == "certificate is not yet valid"
    assert inspection.out_of_time(shop.good, trusted, shop.inputs.epoch) == ""


def once(shop: Workshop, keyring: str) -> inspection.Content | None:
    sha256 = hashlib.sha256(shop.good.read_bytes()).hexdigest()
    return inspection.inspect_once(shop.good, keyring, sha256)


def test_what_was_found_today_is_kept_but_for_this_keyring_alone(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "keys").mkdir()
    own, other = (made.read_text() for made in (shop.inputs.signer.authority, keys.make(tmp_path / "keys").authority))
    for _ in range(2):
        with pytest.raises(UserError, match="no board would take it"):
            once(shop, other)  # what was refused is looked at again
    found = once(shop, own)
    assert found == inspection.Content("cyclone-capture-sockit", "1.2.3", 4 << 20, False)
    asked: list[Path] = []
    monkeypatch.setattr(inspection, "inspect", lambda bundle, _keyring: asked.append(bundle))
    assert once(shop, own) == found
    assert asked == []
    once(shop, other)
    assert asked == [shop.good]


def test_bundle_with_the_permission_is_told(shop: Workshop, tmp_path: Path) -> None:
    manifest = bundle.manifest_text(shop.inputs.board, "0.1.0")
    made = tmp_path / "down.raucb"
    bundle.pack(shop.inputs.rootfs, manifest, shop.inputs.signer, made, tmp_path / "log", downgrade=True)
    found = inspection.inspect(made, shop.inputs.signer.authority)
    assert found
    assert found.downgrade


def test_encrypted_bundle_is_left_to_the_boards(shop: Workshop, tmp_path: Path) -> None:
    signer = Signer(
        shop.inputs.signer.authority,
        shop.inputs.signer.certificate,
        shop.inputs.signer.key,
        "",
        shop.inputs.signer.authority,
    )
    manifest = bundle.manifest_text(shop.inputs.board, "1.2.3", form=signer.format)
    bundle.pack(shop.inputs.rootfs, manifest, signer, tmp_path / "x.raucb", tmp_path / "log")
    assert inspection.inspect(tmp_path / "x.raucb", signer.authority) is None
