# SPDX-License-Identifier: MIT
"""Upgrades over SSH: what must be refused is refused, A to B commits, and what fails its health check goes back.

These cases change which slot runs. The last one brings the image under test back, so that it is what stays.
"""

from __future__ import annotations

import pytest

from firmware import bundle, deploy, keys, transfer
from firmware.deploy import Plan
from firmware.errors import TargetError
from firmware.signing import Signer
from firmware.tree import Tree
from tests.acceptance.under_test import UnderTest

pytestmark = [pytest.mark.acceptance, pytest.mark.full]

OLD_VERSION = "0.0.1"
OTHER_BUILD, SICK_BUILD = "+variant", "+sick"  # of the same version: neither newer nor older
FAILING_CHECK = b"#!/bin/sh\necho 'made to fail'\nexit 1\n"


@pytest.fixture(scope="module")
def inputs(board_under_test: UnderTest) -> bundle.Inputs:
    return board_under_test.bundle_inputs()


def other_build(inputs: bundle.Inputs, build: str) -> str:
    return inputs.version.partition("+")[0] + build


@pytest.mark.promise("upgrade")
@pytest.mark.parametrize("kind", ["unsigned", "foreign signer", "other board", "older version"])
def test_bundle_that_is_not_for_this_board_is_refused_and_nothing_changes(
    unit: UnderTest, inputs: bundle.Inputs, kind: str
) -> None:
    slot, order = unit.slot(), unit.output("fw_printenv", "BOOT_ORDER", sudo=True)
    folder = unit.folder / kind.replace(" ", "-")
    folder.mkdir()
    if kind == "unsigned":
        refused, said = bundle.strip_signature(unit.bundle, folder / "unsigned.raucb"), r"(?i)signature"
    elif kind == "foreign signer":
        (folder / "keys").mkdir()
        refused = bundle.variant(inputs, folder, signer=Signer.of(keys.make(folder / "keys", "Somebody else")))
        said = r"(?i)signature|certificate"
    elif kind == "older version":
        refused, said = bundle.variant(inputs, folder, version=OLD_VERSION), "version 0.0.1 is older than .*which runs"
    else:
        refused, said = bundle.variant(inputs, folder, for_boards="cyclone-capture-other"), r"(?i)compatible"
    with pytest.raises(TargetError, match=said):
        transfer.install(unit.target, refused)
    assert unit.slot() == slot
    assert unit.output("fw_printenv", "BOOT_ORDER", sudo=True) == order
    assert deploy.status(unit.target)["trial"] is None


@pytest.mark.promise("upgrade")
def test_upgrade_to_the_other_slot_commits(unit: UnderTest, inputs: bundle.Inputs) -> None:
    before = unit.slot()
    edits = Tree(inputs.epoch)
    edits.file("/usr/share/cyclone-capture/changed", "a changed image\n")
    version = other_build(inputs, OTHER_BUILD)
    made = bundle.variant(inputs, unit.folder / "changed", edits, version)
    outcome = deploy.deploy(unit.target, unit.offer(made, version), accept=unit.quick_capture, say=unit.recorder.line)
    assert (outcome.action, outcome.version, outcome.reason) == ("committed", version, "")
    assert unit.slot() == outcome.slot != before
    assert unit.target.get("/usr/share/cyclone-capture/changed") == "a changed image\n"


@pytest.mark.promise("rollback")
@pytest.mark.needs("test_upgrade_to_the_other_slot_commits")
def test_slot_that_boots_but_fails_its_health_check_goes_back_by_itself(unit: UnderTest, inputs: bundle.Inputs) -> None:
    before = unit.slot()
    edits = Tree(inputs.epoch)
    edits.file("/usr/lib/field-update/health.d/99-sick", FAILING_CHECK, mode=0o755)
    version = other_build(inputs, SICK_BUILD)
    made = bundle.variant(inputs, unit.folder / "sick", edits, version)
    outcome = deploy.deploy(unit.target, unit.offer(made, version), say=unit.recorder.line)
    assert outcome.action == "reverted"
    assert "made to fail" in outcome.reason
    assert unit.slot() == outcome.slot == before
    unit.quick_capture()


@pytest.mark.promise("upgrade")
@pytest.mark.needs("test_upgrade_to_the_other_slot_commits")
def test_image_under_test_comes_back_as_an_upgrade(unit: UnderTest) -> None:
    manifest = unit.manifest
    offer = unit.offer(unit.bundle, manifest.version)
    plan = Plan(force=True)
    outcome = deploy.deploy(unit.target, offer, unit.quick_capture, plan, say=unit.recorder.line)
    assert (outcome.action, outcome.version) == ("committed", manifest.version)
    status = deploy.status(unit.target)
    assert (status["trial"], status["booted"]) == (None, outcome.slot)
