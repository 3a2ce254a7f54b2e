# SPDX-License-Identifier: MIT
"""Which figures `./inv bench` measures, and what it records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware import bench
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.errors import UserError

pytestmark = pytest.mark.unit


def test_unknown_figure_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(UserError, match=r"no figure 'speed' \(valid: noop_build_s, .*insn_per_mib_zerocopy"):
        bench.chosen("speed", Choice())


def test_long_figures_must_be_named() -> None:
    assert all("fuzz_calls" not in group.figures for group in bench.chosen(None, Choice()))
    (group,) = bench.chosen("fuzz_reports", Choice())
    assert set(group.figures) == {"fuzz_calls", "fuzz_reports"}


def test_figures_have_names_of_their_own() -> None:
    names = [name for group in bench.GROUPS for name in group.figures]
    assert len(names) == len(set(names))


def test_report_keeps_what_was_measured_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group({"one": Figure("pieces", "counted")}, lambda _choice: {"one": 2.0})
    monkeypatch.setattr(bench, "GROUPS", (group,))
    monkeypatch.setattr(bench, "REPORT", tmp_path / "reports" / "bench.json")
    bench.REPORT.parent.mkdir()
    bench.REPORT.write_text('{"other": {"value": 1, "unit": "pieces", "how": "counted"}}')
    bench.run(Choice())
    recorded = json.loads(bench.REPORT.read_text())
    one, other = ({"value": value, "unit": "pieces", "how": "counted"} for value in (2.0, 1))
    assert recorded == {"other": other, "one": one}
    assert "| `one` | 2 | pieces | counted |" in bench.REPORT.with_suffix(".md").read_text()


def test_real_board_is_asked_for_what_needs_no_emulator_only() -> None:
    board = Choice().update(host="board-7")
    assert all(group.metal for group in bench.chosen(None, board))
    assert {"board_stream_mib_per_s"} in [set(group.figures) for group in bench.chosen(None, board)]
    with pytest.raises(
        UserError, match=r"noop_build_s .*emulator or this computer alone \(valid: .*board_stream_mib_per_s"
    ):
        bench.chosen("noop_build_s", board)


def test_stream_of_the_emulated_board_is_no_figure() -> None:
    with pytest.raises(UserError, match=r"board_stream_mib_per_s: .*its host's \(valid: --host"):
        bench.run(Choice(), "board_stream_mib_per_s")
