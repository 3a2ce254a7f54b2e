# SPDX-License-Identifier: MIT
"""The board under test: attached (`./inv test`) or an emulated one of the suite's own, booted from a fresh card."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_html import extras
from pytest_metadata.plugin import metadata_key

from firmware import engine, plot, reach
from firmware.choice import Choice
from firmware.manifest import Manifest, load_built
from tests.acceptance.under_test import UnderTest


@pytest.fixture(scope="session")
def choice(request: pytest.FixtureRequest) -> Choice:
    option = request.config.getoption
    return Choice().update(option("--board"), option("--engine"), option("--host"))


@pytest.fixture(scope="session")
def manifest(request: pytest.FixtureRequest, choice: Choice) -> Manifest:
    if request.config.getoption("--attached"):
        return load_built(choice.board.name, choice.engine)
    return engine.build(choice.board, choice.engine)


@pytest.fixture(scope="session")
def unit(
    request: pytest.FixtureRequest, choice: Choice, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UnderTest]:
    folder: Path = tmp_path_factory.mktemp("board")
    if request.config.getoption("--attached"):
        found = reach.reach(choice)
        with found.target:
            yield _known(request, UnderTest(found.target, found.stream, manifest, folder, found.console))
        return
    with reach.fresh_emulator(choice, folder) as found:
        yield _known(request, UnderTest(found.target, found.stream, manifest, folder, found.console))


def _known(request: pytest.FixtureRequest, unit: UnderTest) -> UnderTest:
    """Put the identity of the image under test at the head of the report."""
    unit.target.connect()
    request.config.stash[metadata_key].update(
        {
            "Board": unit.manifest.board,
            "Version": unit.manifest.version,
            "Image SHA-256": unit.manifest.files["image"].sha256,
            "Root file system SHA-256": unit.manifest.rootfs.sha256,
            "Kernel": unit.manifest.kernel,
            "Host": unit.target.alias,
        }
    )
    return unit


def pytest_html_report_title(report: Any) -> None:
    report.title = "Acceptance"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what a case measured, and a plot of each capture, to its row of the report."""
    report = yield
    unit = getattr(item, "funcargs", {}).get("unit")
    if call.when == "call" and unit is not None:
        shown = [extras.text(f"{name}: {value}") for name, value in unit.notes.items()]
        shown += [extras.html(f"<p>{name}</p>{plot.throughput(seen)}") for name, seen in unit.receptions.items()]
        setattr(report, "extras", [*getattr(report, "extras", []), *shown])  # noqa: B010  # pytest-html's own name
        unit.notes.clear()
        unit.receptions.clear()
    return report
