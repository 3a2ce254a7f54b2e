# SPDX-License-Identifier: MIT
"""oelint-adv, the OpenEmbedded style checker, over every recipe. What it must refuse: `test_mutations.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware import lint
from firmware.errors import ToolError
from tests.golden import tier_one

pytestmark = pytest.mark.golden


def test_a_broken_checker_is_no_clean_recipe(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="oelint_adv"):
        lint.findings([tmp_path / "none.bb"], release="no-such-release")


def test_checker_accepts(tmp_path: Path) -> None:
    assert lint.findings(tier_one.plant(tmp_path, boards.DEFAULT_BOARD).linted()) == []
