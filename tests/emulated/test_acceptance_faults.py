# SPDX-License-Identifier: MIT
"""Self-test of the acceptance suite: every fault of `acceptance_faults.py` fails the right case, and only that.

One emulated board for all; after each fault the board is mended, and the first and the last run are without one. The
table goes to the report (`build/<board>/reports/self-test.json`), the figures to bench.json; `-k` tries some of them,
and the table keeps the others' rows as long as the tree is the same.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware import acceptance, bench, board, engine, reach, self_test, verdict
from firmware.bench_cost import Figure
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.faults import Faults
from firmware.known_hosts import KnownHosts
from firmware.manifest import Manifest
from firmware.ssh import Target
from tests.acceptance.place import Place
from tests.emulated.acceptance_faults import FAULTS, Fault

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

LONG_MIB = 64  # every buffer of the ring once; the other captures are shorter in proportion


@dataclass
class Bench:
    """The board, and how the suite reaches it."""

    machine: Emulator
    target: Target
    folder: Path
    manifest: Manifest

    @property
    def reports(self) -> Path:
        """Where the table is kept."""
        return acceptance.reports(board.load(self.manifest.board).name)

    def root(self, script: str) -> None:
        """Run `script` on the board."""
        if script:
            text = script.replace("{now}", str(int(time.time())))
            self.target.output(["sh", "-ec", text], sudo=True, timeout=300)

    def suite(self) -> verdict.Verdict:
        """Run the quick suite, in a process of its own."""
        command = acceptance.plan(self.manifest.board, self.manifest.engine, None, quick=True)
        command = [word for word in command if not word.startswith(("--junitxml", "--report"))]
        command += [f"--place={self.folder / 'place.json'}", f"--mib={LONG_MIB}", f"--report={self.folder / 'said'}"]
        environment = {**os.environ, "PYTEST_ADDOPTS": ""}
        (self.folder / "said.json").unlink(missing_ok=True)
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert (self.folder / "said.json").is_file(), done.stdout[-3000:] + done.stderr[-3000:]
        return verdict.load(self.folder / "said.json")


@pytest.fixture(scope="module")
def bench_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    choice = Choice()
    folder = tmp_path_factory.mktemp("self-test")
    built = engine.build(choice.board, choice.engine)
    known = KnownHosts(folder / "known_hosts")
    reach.make_card(built, folder / "card.img", known)
    with reach.powered(choice.board, folder / "card.img", folder) as machine:
        place = Place(machine.ssh_port, machine.stream_port, str(machine.console_log), str(folder / "known_hosts"))
        place.save(folder / "place.json")
        found = place.reach()
        reach.wait_until_up(found)
        with found.target:
            yield Bench(machine, found.target, folder, built)


@pytest.fixture(scope="module")
def table(bench_board: Bench) -> Iterator[self_test.SelfTest]:
    """Grows by a row a fault, from run to run of one tree; its figures when each fault has had its turn."""
    made = bench_board.manifest
    now = datetime.now(UTC).isoformat(timespec="seconds")
    found = self_test.begin(bench_board.reports, made.board, made.tree, now)
    yield found
    if found.holds(fault.name for fault in FAULTS):
        real = [row for row in found.rows if row.wanted]
        how = "pytest --slow tests/emulated/test_acceptance_faults.py"
        bench.record("mutations", len(real), Figure("faults", how))
        bench.record("mutations_caught", sum(row.caught for row in real), Figure("faults", how))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_fault_fails_the_right_case_only(bench_board: Bench, table: self_test.SelfTest, fault: Fault) -> None:
    try:
        bench_board.root(fault.spoil)
        if fault.inject:
            fault.inject(Faults(bench_board.machine))
        said = bench_board.suite()
    finally:
        bench_board.root(fault.mend)
    found = self_test.row(fault.name, fault.fails, said)
    table.add(found)
    table.save(bench_board.reports)
    print(found.line())
    assert found.caught, [(case.name, case.reason) for case in said.cases if case.outcome == "failed"]
