# SPDX-License-Identifier: MIT
"""The overlay's inputs: a file that is no bitstream is refused; the stand-in says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware import overlay
from firmware.errors import UserError

pytestmark = pytest.mark.unit

BOARD = boards.load(boards.DEFAULT_BOARD)


@pytest.mark.parametrize("size", [0, overlay.BITSTREAM_BYTES - 1, overlay.BITSTREAM_LIMIT + 1])
def test_file_that_is_no_bitstream_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / f"{BOARD.name}.rbf"
    with path.open("wb") as stream:
        stream.truncate(size)
    with pytest.raises(UserError, match=rf"{BOARD.name}\.rbf: {size} bytes are no .* \(valid: a \.rbf of 65536 to "):
        overlay.bitstream(BOARD, tmp_path)


def test_own_bitstream_is_used(tmp_path: Path) -> None:
    content = bytes(range(256)) * 256
    (tmp_path / f"{BOARD.name}.rbf").write_bytes(content)
    (tmp_path / "other.rbf").write_bytes(b"x" * len(content))
    assert overlay.bitstream(BOARD, tmp_path) == content


def test_stand_in_says_what_it_is(tmp_path: Path) -> None:
    content = overlay.bitstream(BOARD, tmp_path)
    assert len(content) >= 64 << 10
    assert content.split(b"\n")[:2] == [overlay.STAND_IN.encode(), f"fabric id {BOARD.fabric.id:#010x}".encode()]
    assert content != overlay.stand_in(BOARD.fabric.id + 1)


def test_source_follows_the_board_file() -> None:
    fabric = BOARD.fabric.model_copy(update={"id": 0x1234})
    text = overlay.source(BOARD.model_copy(update={"fabric": fabric}))
    assert "fabric-id = <0x1234>;" in text
    assert "fabric-id = <0x1234>;" not in overlay.source(BOARD)
