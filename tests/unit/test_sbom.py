# SPDX-License-Identifier: MIT
"""The bill of materials: valid by spdx-tools, complete, the same when made twice; what is not valid is an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware import sbom
from firmware.errors import ToolError

pytestmark = pytest.mark.unit
HASH = "b" * 64
PACKAGES = [{"name": "libc6", "version": "2:2.41-1", "source": "glibc", "source_version": "2.41-1"}]
OURS = sbom.Component("captured", "1.0", sbom.OURS, licence="MIT")


def test_what_is_not_spdx_is_an_error(tmp_path: Path) -> None:
    wrong = sbom.Component("kernel", "6.12", sbom.DEBIAN, sha256="no hash")
    with pytest.raises(ToolError, match="64 lowercase hexadecimal digits"):
        sbom.write(tmp_path / "x.json", "sockit", HASH, 1_700_000_000, [wrong])
    assert not (tmp_path / "x.json").exists()


def test_bill_is_whole_and_twice_the_same(tmp_path: Path) -> None:
    components = [*sbom.debian_components(PACKAGES), OURS]
    sbom.write(tmp_path / "1", "sockit", HASH, 1_700_000_000, components)
    sbom.write(tmp_path / "2", "sockit", HASH, 1_700_000_000, list(reversed(components)))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    found = json.loads((tmp_path / "1").read_text())
    assert found["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    by_name = {package["name"]: package for package in found["packages"]}
    assert set(by_name) == {"sockit", "libc6", "captured"}
    assert by_name["captured"]["licenseDeclared"] == "MIT"
    reference = by_name["libc6"]["externalRefs"][0]
    assert reference["referenceLocator"] == "pkg:deb/debian/libc6@2%3A2.41-1?arch=armhf"
    contained = [r for r in found["relationships"] if r["relationshipType"] == "CONTAINS"]
    assert len(contained) == 2
