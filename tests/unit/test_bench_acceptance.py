# SPDX-License-Identifier: MIT
"""How long the suite takes: it needs an image, and a run that fails is no measurement."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from firmware import bench, bench_acceptance, manifest, paths
from firmware.choice import Choice
from firmware.errors import ToolError, UserError

pytestmark = pytest.mark.unit


def test_image_that_is_not_built_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    with pytest.raises(UserError, match=r"\./inv build"):
        bench_acceptance.quick(Choice())


def test_suite_that_fails_gives_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [sys.executable, "-c", "print('1 failed'); raise SystemExit(1)"]
    monkeypatch.setattr(manifest, "load_built", lambda *_: None)
    monkeypatch.setattr(bench_acceptance, "plan", lambda *_, **__: broken)
    with pytest.raises(ToolError, match="1 failed"):
        bench_acceptance.full(Choice())


def test_only_the_quick_tier_leaves_cases_out() -> None:
    assert "not full" in bench_acceptance.plan("sockit", "debian", Path("said"), quick=True)
    assert "not full" not in bench_acceptance.plan("sockit", "debian", Path("said"), quick=False)
    assert bench.chosen("accept_full_s", Choice())[0].long
