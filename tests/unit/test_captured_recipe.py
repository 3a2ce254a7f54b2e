# SPDX-License-Identifier: MIT
"""What the recipe installs exists, fits together, and carries the board's facts."""

from __future__ import annotations

import configparser
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from captured import commands, facts, journal, notify
from captured.errors import CapturedError

from firmware import board, recipe, render

pytestmark = pytest.mark.unit


@pytest.fixture
def captured() -> recipe.Recipe:
    return next(one for one in recipe.load_all() if one.name == "captured")


def test_missing_or_broken_constants_are_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "constants", raising=False)
    with pytest.raises(CapturedError, match=r"constants\.py.*missing or broken"):
        facts.load()
    (tmp_path / "constants.py").write_text("BOARD = 'x'\n")
    with pytest.raises(CapturedError, match="FABRIC_ID"):
        facts.load()
    sys.modules.pop("constants", None)


@pytest.mark.parametrize("name", board.names())
def test_rendered_constants_are_the_boards(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = board.load(name)
    (tmp_path / "constants.py").write_text(render.text("captured/constants.py.j2", target))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "constants", raising=False)
    ring = target.ring
    assert facts.load() == facts.Facts(name, target.fabric.id, ring.block_bytes, ring.blocks, 7700)
    sys.modules.pop("constants", None)


def test_every_file_of_the_recipe_exists_and_scripts_can_be_run(captured: recipe.Recipe) -> None:
    for item in captured.files:
        path = captured.folder / item.source
        assert path.exists(), item
        if item.mode == "0755":
            assert os.access(path, os.X_OK), item
            assert path.read_text().startswith("#!"), item


def test_entry_scripts_find_the_package_where_the_recipe_puts_it(captured: recipe.Recipe, tmp_path: Path) -> None:
    package = next(item for item in captured.files if item.source == "captured")
    assert package.to == "/usr/lib/captured/captured"
    for name in ("captured", "capturectl"):
        text = (captured.folder / "bin" / name).read_text()
        script = tmp_path / name
        script.write_text(text.replace("/usr/lib/captured", str(captured.folder)))
        said = subprocess.run(
            [sys.executable, "-IB", str(script), "--help"], capture_output=True, text=True, check=True
        )
        assert f"usage: {name}" in said.stdout


def test_unit_runs_as_the_recipes_user_and_may_lock_the_ring(captured: recipe.Recipe) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((captured.folder / "systemd/captured.service").read_text())
    service = unit["Service"]
    user = captured.users[0]
    assert (service["User"], service["Group"]) == (user.name, user.groups[0])
    assert service["ExecStart"] in [item.to for item in captured.files]
    assert service["LimitMEMLOCK"] == "infinity"
    assert service["CapabilityBoundingSet"] == ""
    assert unit["Install"]["WantedBy"] == "dev-capture0.device"
    assert "BindsTo" not in unit["Unit"], "it survives a device that goes away"


def test_journal_fields_are_those_of_the_native_protocol(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "journal"))
        handler = journal.JournalHandler(str(tmp_path / "journal"))
        record = logging.makeLogRecord({"name": "captured.x", "levelno": logging.WARNING, "msg": "two\nlines"})
        record.fields = {"bytes": 4096}
        handler.emit(record)
        handler.close()
        data = daemon.recv(4096)
    assert b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n" in data
    assert b"PRIORITY=4\n" in data
    assert b"CAPTURED_BYTES=4096\n" in data


def test_notify_reaches_the_manager_and_is_silent_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify.notify("READY=1")
        assert manager.recv(64) == b"READY=1"
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    assert notify.watchdog_seconds() == 30
    monkeypatch.setenv("WATCHDOG_USEC", "often")
    assert notify.watchdog_seconds() is None


def test_limits_are_the_registers() -> None:
    assert commands.MAX_RATE == 2**32 - 1
