# SPDX-License-Identifier: MIT
"""The recipe that only boards with a hawkBit server have: through BitBake's parser, the gates, and the lint."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware import lint
from tests.golden import tier_one

pytestmark = pytest.mark.golden


def test_recipe_of_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = boards.load(boards.DEFAULT_BOARD)
    hawkbit = boards.Hawkbit(server="hawkbit.example.org", address="192.0.2.7")
    monkeypatch.setattr(boards, "load", lambda _name: found.model_copy(update={"hawkbit": hawkbit}))
    tree = tier_one.plant(tmp_path / "tree", found.name)
    parsed = tier_one.parse({"one": tree}, tmp_path)["one"]
    (made,) = (path for path in parsed if path.endswith("recipes-capture/hawkbit-client/hawkbit-client_1.0.bb"))
    assert [said for one in parsed.values() for said in one["errors"]] == []
    values = parsed[made]["values"]
    assert {"rauc-hawkbit-updater", "field-update", "ca-certificates"} <= {*values["RDEPENDS:hawkbit-client"].split()}
    assert tree.violations(parsed) == []
    assert lint.findings([Path(made)]) == []
