# SPDX-License-Identifier: MIT
"""Running the acceptance suite: what is missing is said before an earlier report is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import acceptance, bench, paths
from firmware.choice import Choice, Host
from firmware.errors import UserError

pytestmark = pytest.mark.unit


def test_image_that_is_not_built_leaves_the_report_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    report = acceptance.reports("sockit") / "acceptance.html"
    report.parent.mkdir(parents=True)
    report.write_text("of yesterday")
    with pytest.raises(UserError, match=r"not built: .*sockit.* \(valid: first \./inv build --board=sockit"):
        acceptance.run(Choice().update("sockit"))
    assert report.read_text() == "of yesterday"


def test_command_names_board_host_selection_and_both_reports() -> None:
    command = acceptance.plan("sockit", "debian", Host("board-7", 2222, "me"), only="boot", name="x")
    assert "--attached" in command
    assert "--host=me@board-7:2222" in command
    assert command[command.index("-k") + 1] == "boot"
    assert [word.split("/")[-1] for word in command if word.startswith(("--junitxml=", "--report="))] == [
        "x.xml",
        "x",
    ]


def test_quick_leaves_the_long_cases_out() -> None:
    command = acceptance.plan("sockit", "debian", None, quick=True)
    assert command[command.index("-m", 3) + 1] == "not full"


def test_long_capture_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"--gib: 0 \(valid: 1 or more\)"):
        acceptance.run(Choice(), gib=0)


def test_lab_without_a_real_board_is_refused() -> None:
    with pytest.raises(UserError, match=r"--lg-env: a lab has real boards .valid: with --host"):
        acceptance.run(Choice(), lab="lab.yaml")


def test_long_capture_can_be_longer() -> None:
    assert "--mib=3072" in acceptance.plan("sockit", "debian", None, gib=3)
    assert not [word for word in acceptance.plan("sockit", "debian", None) if word.startswith("--mib")]


def test_emulated_board_needs_no_host() -> None:
    assert not [word for word in acceptance.plan("sockit", "debian", None) if word.startswith("--host")]


def test_unknown_figure_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"no figure 'speed' \(valid: noop_build_s, "):
        bench.run(Choice(), "speed")
