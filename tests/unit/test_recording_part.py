# SPDX-License-Identifier: MIT
"""A part of a recording: what `--first` and `--samples` of plot and convert take."""

from __future__ import annotations

from pathlib import Path

import cyclone_capture as cc
import numpy as np
import pytest
from cyclone_capture import cli
from cyclone_capture import files as recordings
from cyclone_capture.errors import UserError
from cyclone_capture.record import FLAG_GAP, Header

pytestmark = pytest.mark.unit


@pytest.fixture
def take(tmp_path: Path) -> cc.Recording:
    """4000 samples, of which 1000 to 1999 are a block behind a gap."""
    values = np.arange(4000, dtype="<u4")
    with recordings.Writer(tmp_path / "take", "ru32_le", 1000.0) as writer:
        for number, flags in enumerate((0, FLAG_GAP, 0, 0)):
            block = values[number * 1000 : (number + 1) * 1000].tobytes()
            writer.write(Header(flags, len(block), number, 0, 512 if flags else 0, 1), block)
    return cc.open_recording(tmp_path / "take")


@pytest.mark.parametrize(
    ("first", "count", "said"),
    [
        (-1, None, "valid: 0 to 3999"),
        (4000, None, "valid: 0 to 3999"),
        (3999, 2, "valid: 1 to 1"),
        (0, 0, "valid: 1 to 4000"),
    ],
)
def test_part_that_is_not_there_is_refused(take: cc.Recording, first: int, count: int | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        take.part(first, count)


def test_part_is_a_view_with_its_gaps(take: cc.Recording) -> None:
    part = take.part(1500, 1000)
    assert (part.samples[0], part.samples[-1]) == (1500, 2499)
    assert np.shares_memory(part.samples, take.samples)
    assert part.gaps == ((0, 500, 512),)
    assert part.part(100, 10).first == 1600
    assert take.part(2000).gaps == ()
    assert take.part() is take


def test_convert_and_plot_take_a_part(take: cc.Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(take.path), "--first=1500", "--samples=7"]
    assert cli.main(["convert", *words, f"--output={tmp_path}/part.npy"]) == 0
    assert np.load(tmp_path / "part.npy").tolist() == list(range(1500, 1507))
    assert cli.main(["plot", *words, f"--output={tmp_path}/part.html"]) == 0
    assert "7 from 1,500 on" in (tmp_path / "part.html").read_text()
    assert cli.main(["plot", str(take.path), "--first=9999", f"--output={tmp_path}/x.png"]) == 2
    assert "valid: 0 to 3999" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
