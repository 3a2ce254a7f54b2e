# SPDX-License-Identifier: MIT
"""The power-cut campaign, 25 cuts: what `./inv test --power-cuts=25 --seed=1` does, with its log.

One that was stopped goes on, and one that is done for this image is not made again (`firmware/campaign_log.py`).
"""

from __future__ import annotations

import pytest

from firmware import campaign, campaign_run, engine
from firmware.choice import Choice

pytestmark = [pytest.mark.emulated, pytest.mark.slow]
CUTS, SEED = 25, 1


def test_board_comes_back_from_every_cut_and_can_be_upgraded_again() -> None:
    choice = Choice()
    engine.build(choice.board, choice.engine)
    found = campaign_run.run(choice, CUTS, SEED)
    assert len(found) == CUTS
    print(campaign.report(found))
    assert {seen.phase for seen in found} == set(campaign.PHASES)
    assert {seen.cut.kind for seen in found} == {*campaign.RECORDED, "instant"}
