# SPDX-License-Identifier: MIT
"""A lab's board through labgrid itself: what is no environment is refused, the order is off, record, on."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.errors import TargetError, UserError
from firmware.lab import Lab

pytestmark = pytest.mark.unit

POWER = "{{cmd_on: 'sh -c \"echo on >>{log}\"', cmd_off: 'sh -c \"echo off >>{log}\"'}}"
SPEAKS = "sh -c \"printf 'U-Boot SPL\\r\\n'; while [ ! -s {log} ]; do :; done; printf 'more'; cat\""


def environment(folder: Path, *drivers: str, target: str = "main") -> Path:
    """An environment with these drivers."""
    path = folder / "lab.yaml"
    lines = "\n".join(f"      {driver}" for driver in drivers)
    path.write_text(f"targets:\n  {target}:\n    drivers:\n{lines}\n")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no file"),
        ("targets: [", "valid: a labgrid environment"),
        ("targets: {other: {}}", "no target 'main'"),
        ("targets: {main: {resources: {}}}", "neither power nor console"),
        ("targets: {main: {drivers: {NoSuchDriver: {}}}}", "NoSuchDriver"),
    ],
)
def test_what_is_no_environment_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "lab.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said):
        Lab(path)


def test_switch_that_fails_is_said(tmp_path: Path) -> None:
    path = environment(tmp_path, "ExternalPowerDriver: {cmd_on: 'true', cmd_off: 'false'}")
    with pytest.raises(TargetError, match="the lab's power does not go off"), Lab(path).cold_start(tmp_path / "log"):
        pass


def test_console_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    path = environment(tmp_path, "ExternalConsoleDriver: {cmd: /no/such/program}")
    with pytest.raises(TargetError, match=r"console fails: .*no/such/program"), Lab(path).cold_start(tmp_path / "log"):
        pass


def test_power_alone_goes_off_and_on(tmp_path: Path) -> None:
    done = tmp_path / "done"
    path = environment(tmp_path, "ExternalPowerDriver: " + POWER.format(log=done))
    with Lab(path).cold_start(tmp_path / "log") as console:
        assert console is None
        assert done.read_text() == "off\non\n"


def test_console_is_recorded_from_before_power_on(tmp_path: Path) -> None:
    done, log = tmp_path / "done", tmp_path / "reports" / "console.log"
    speaks = SPEAKS.format(log=done).replace('"', '\\"')
    path = environment(
        tmp_path, "ExternalPowerDriver: " + POWER.format(log=done), f'ExternalConsoleDriver: {{cmd: "{speaks}"}}'
    )
    with Lab(path).cold_start(log) as console:
        assert console == log
        while b"more" not in log.read_bytes():
            pass
    assert log.read_bytes().startswith(b"U-Boot SPL\r\nmore")
