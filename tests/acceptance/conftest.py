# SPDX-License-Identifier: MIT
"""The board under test: attached (`./inv test`) or an emulated one of the suite's own, booted from a fresh card.

Every case ends in the verdict (`firmware/verdict.py`), with what it recorded and, when it failed, with evidence; a case
that needs a failed one is blocked. `--report=STEM` writes the verdict and its page.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from firmware import engine, reach
from firmware.choice import Choice
from firmware.history import History
from firmware.manifest import Manifest, load_built
from tests.acceptance import causes, place
from tests.acceptance.recorder import Recorder
from tests.acceptance.run import Run
from tests.acceptance.under_test import UnderTest

RUN = pytest.StashKey[Run]()


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
def board_under_test(
    request: pytest.FixtureRequest, choice: Choice, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UnderTest]:
    """The board, connected, for the whole run."""
    folder: Path = tmp_path_factory.mktemp("board")
    if request.config.getoption("--attached"):
        where = request.config.getoption("--place")
        found = place.load(Path(where)).reach() if where else reach.reach(choice)
        recorded = request.config.getoption("--console")
        console = Path(recorded) if recorded else found.console
        with found.target:
            emulated = found.console is not None
            yield _begun(request, UnderTest(found.target, found.stream, manifest, folder, console, emulated))
        return
    with reach.fresh_emulator(choice, folder) as found:
        yield _begun(request, UnderTest(found.target, found.stream, manifest, folder, found.console, True))


@pytest.fixture
def long_mib(request: pytest.FixtureRequest) -> int:
    """MiB of the long capture."""
    return int(request.config.getoption("--mib"))


@pytest.fixture
def unit(request: pytest.FixtureRequest, board_under_test: UnderTest) -> UnderTest:
    """The board, for one case."""
    board_under_test.recorder = Recorder()
    run = request.config.stash[RUN]
    run.begin(board_under_test)
    if not run.causes.answers(board_under_test.target):
        pytest.skip(causes.MARK + run.causes.lost)
    return board_under_test


def _begun(request: pytest.FixtureRequest, found: UnderTest) -> UnderTest:
    found.target.connect()
    request.config.stash[RUN].identify(found)
    return found


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RUN] = Run(config.getoption("-k") or "")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if cause := item.config.stash[RUN].causes.cause(causes.needs(item)):
        pytest.skip(causes.MARK + cause)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("acceptance"):
        item.config.stash[RUN].take(item, call, report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    stem = session.config.getoption("--report")
    run = session.config.stash[RUN]
    if stem and run.cases:
        apart = session.config.getoption("--place")
        run.finish(Path(stem), History(Path(stem).with_suffix(".sqlite")) if apart else None)
