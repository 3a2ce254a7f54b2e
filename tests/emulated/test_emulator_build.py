# SPDX-License-Identifier: MIT
"""The emulated board's C has no compiler warning, with the flags that it is built with (-Wall -Wextra)."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import emulator_build
from firmware.errors import ToolError

pytestmark = pytest.mark.emulated


def flags() -> list[str]:
    """Those of the build, and each warning an error."""
    qemu = emulator_build.installed()
    source = emulator_build.source(qemu)
    headers = emulator_build.headers_stage(source)
    folder = headers.make(lambda scratch: emulator_build.make_headers(source, scratch))
    return [*emulator_build.compile_flags(qemu.series, source.tree, folder), "-Werror"]


def test_warning_would_be_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(emulator_build, "SOURCES", tmp_path)
    (tmp_path / "one.c").write_text("int f(unsigned a, int b) { return a < b; }\n")
    with pytest.raises(ToolError, match="sign-compare"):
        emulator_build.compile_object(flags(), tmp_path)


def test_devices_compile_without_a_warning(tmp_path: Path) -> None:
    emulator_build.compile_object(flags(), tmp_path)
    assert (tmp_path / "cyclone5.so").is_file()
