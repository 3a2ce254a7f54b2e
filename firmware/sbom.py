# SPDX-License-Identifier: MIT
"""The software bill of materials: SPDX 2.3 JSON, written and validated by `spdx-tools`; the same inputs, the same file.

It lists Debian's packages as dpkg knows them in the slot, the sources that were compiled (kernel, U-Boot) and our own
recipes. Debian's licence texts are in the slot (`/usr/share/doc/*/copyright`); they are not in SPDX's form, so the
bill says NOASSERTION for them instead of guessing.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware import paths
from firmware.errors import ToolError
from firmware.manifest import SourcePackage
from firmware.recipe import Recipe
from firmware.stage import Stage

if TYPE_CHECKING:
    from spdx_tools.spdx.model.package import Package

DEBIAN = "Organization: Debian"
OURS = "Organization: Cyclone Capture"


@dataclass(frozen=True)
class Component:
    """One line of the bill; empty when not known: `licence` (SPDX), `purl` (package URL), `sha256` of its source."""

    name: str
    version: str
    supplier: str
    licence: str = ""
    purl: str = ""
    sha256: str = ""


def debian_components(packages: Iterable[dict[str, str]], architecture: str = "armhf") -> list[Component]:
    """Components of a base's package list."""
    return [
        Component(
            p["name"],
            p["version"],
            DEBIAN,
            purl=f"pkg:deb/debian/{p['name']}@{p['version'].replace(':', '%3A')}?arch={architecture}",
        )
        for p in packages
    ]


def spdx_id(name: str, number: int) -> str:
    """Identifier of a component: letters, digits, dots and dashes only."""
    return f"SPDXRef-{number}-{re.sub(r'[^A-Za-z0-9.-]', '-', name)}"


def _package(component: Component, number: int) -> Package:
    from spdx_tools.common.spdx_licensing import spdx_licensing  # type: ignore[import-untyped]
    from spdx_tools.spdx.model.actor import Actor, ActorType
    from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
    from spdx_tools.spdx.model.package import ExternalPackageRef, ExternalPackageRefCategory, Package
    from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

    licence = spdx_licensing.parse(component.licence) if component.licence else SpdxNoAssertion()
    reference = ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", component.purl)
    return Package(
        spdx_id=spdx_id(component.name, number),
        name=component.name,
        version=component.version,
        download_location=SpdxNoAssertion(),
        supplier=Actor(ActorType.ORGANIZATION, component.supplier.removeprefix("Organization: ")),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, component.sha256)] if component.sha256 else [],
        license_concluded=SpdxNoAssertion(),
        license_declared=licence,
        copyright_text=SpdxNoAssertion(),
        external_references=[reference] if component.purl else [],
    )


def write(path: Path, name: str, content_sha256: str, epoch: int, components: list[Component]) -> None:
    """Write the bill of the image `name`, whose slot has the hash `content_sha256`. Raises ToolError: not valid."""
    from spdx_tools.spdx.model.actor import Actor, ActorType
    from spdx_tools.spdx.model.document import CreationInfo, Document
    from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
    from spdx_tools.spdx.writer.json import json_writer

    ordered = sorted(components, key=lambda c: (c.supplier, c.name, c.version))
    product = _package(Component(name, content_sha256[:12], OURS, licence="", sha256=content_sha256), 0)
    packages = [product, *(_package(component, number) for number, component in enumerate(ordered, 1))]
    info = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id="SPDXRef-DOCUMENT",
        name=name,
        document_namespace=f"urn:cyclone-capture:{name}:{content_sha256}",
        creators=[Actor(ActorType.TOOL, "cyclone-capture")],
        created=datetime.datetime.fromtimestamp(epoch, datetime.UTC).replace(tzinfo=None),
    )
    relationships = [Relationship(info.spdx_id, RelationshipType.DESCRIBES, product.spdx_id)]
    relationships += [Relationship(product.spdx_id, RelationshipType.CONTAINS, p.spdx_id) for p in packages[1:]]
    document = Document(info, packages=packages, relationships=relationships)
    problems = validate_full_spdx_document(document)
    if problems:
        raise ToolError(["spdx-tools"], 0, "\n".join(problem.validation_message for problem in problems[:10]))
    with path.open("w", encoding="utf-8") as stream:
        json_writer.write_document_to_stream(document, stream, validate=False)


def compiled_components(compiled: Iterable[SourcePackage]) -> list[Component]:
    """Components of the sources that were compiled."""
    return [
        Component(
            source.package,
            source.version,
            DEBIAN,
            purl=f"pkg:deb/debian/{source.package}@{source.version.replace(':', '%3A')}?arch=source",
            sha256=source.sha256,
        )
        for source in compiled
    ]


def build(
    board: str,
    rootfs: Path,
    packages: list[dict[str, str]],
    compiled: list[SourcePackage],
    recipes: list[Recipe],
    epoch: int,
) -> Path:
    """Result folder with `<board>.spdx.json`, for the slot in the result folder `rootfs`."""
    components = debian_components(packages) + compiled_components(compiled)
    components += [Component(recipe.name, recipe.version, OURS, licence=recipe.licence) for recipe in recipes]
    stage = Stage(
        "sbom",
        texts={"board": board, "rootfs": rootfs.name, "components": repr(components), "epoch": str(epoch)},
        files=(paths.ROOT / "firmware" / "sbom.py",),
    )

    def work(folder: Path) -> None:
        write(folder / f"{board}.spdx.json", board, (rootfs / "sha256").read_text().strip(), epoch, components)

    return stage.make(work)
