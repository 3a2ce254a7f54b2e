# SPDX-License-Identifier: MIT
"""The functions of `config_assert.bbclass`, which stop a build whose fragments did not take effect."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden import bbclass

pytestmark = pytest.mark.golden


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    """The class's plain Python functions, by name."""
    return bbclass.functions("config_assert")


@pytest.mark.parametrize(
    ("built", "said"),
    [
        ("CONFIG_A=m\nCONFIG_B=0x10\n", "CONFIG_A is m, the fragments say y"),
        ("CONFIG_B=0x10\n", "CONFIG_A is n, the fragments say y"),
        ("CONFIG_A=y\nCONFIG_B=0x11\n", "CONFIG_B is 0x11, the fragments say 0x10"),
        ("CONFIG_A=y\nCONFIG_B=0x10\nCONFIG_C=y\n", "CONFIG_C is y, the fragments say n"),
    ],
)
def test_what_did_not_take_effect_is_named(functions: dict[str, Any], built: str, said: str) -> None:
    wanted = functions["config_values"](["CONFIG_A=y", "CONFIG_B=0x10", "# CONFIG_C is not set", "# a comment"])
    assert functions["config_violations"](wanted, functions["config_values"](built.splitlines()), []) == [said]


def test_absent_is_not_set_and_skipped_is_skipped(functions: dict[str, Any]) -> None:
    wanted = functions["config_values"](["CONFIG_A=y", "# CONFIG_C is not set"])
    assert functions["config_violations"](wanted, {}, ["A"]) == []
