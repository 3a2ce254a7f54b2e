# SPDX-License-Identifier: MIT
"""What an image says of its own making: both engines' files, and that the verification takes them for whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import lock, payload, provenance
from firmware.board import Board
from firmware.manifest import SourcePackage
from firmware.payload import Parts
from firmware.tree import Tree

pytestmark = pytest.mark.unit

BOARD = boards.load("sockit")
SOURCE = SourcePackage(package="linux", version="6.12.1-1", suite="trixie", sha256="0" * 64)
PACKAGES = [{"name": "rauc", "version": "1.13-1", "source": "rauc"}]


def test_board_file_is_resolved_and_reads_back_as_the_board() -> None:
    text = provenance.board_text(BOARD)
    assert json.loads(text)["fabric"]["provider"] == "msgdma"  # a default, which no board file says
    assert Board.model_validate_json(text) == BOARD


def test_yocto_lock_is_the_lock() -> None:
    made = json.loads(provenance.yocto_lock(lock.layers()))
    assert {name: one["commit"] for name, one in made["layers"].items()} == {
        one.name: one.commit for one in lock.layers()
    }


def test_debian_slot_carries_both_and_they_are_whole(tmp_path: Path) -> None:
    slot, parts = Tree(1), Parts(tmp_path, tmp_path, tmp_path, tmp_path, sources=(SOURCE,))
    payload.add_provenance(slot, BOARD, PACKAGES, parts)
    texts = slot.text(provenance.BOARD_FILE), slot.text(provenance.LOCK_FILE)
    assert provenance.faults("sockit", "debian", *texts) == []
    assert json.loads(texts[1]) == {
        "engine": "debian",
        "packages": {"rauc": "1.13-1"},
        "sources": {"linux": {"version": "6.12.1-1", "sha256": "0" * 64}},
    }
    assert provenance.faults("sockit", "yocto", *texts) == [
        f"{provenance.LOCK_FILE} does not say what was used (valid: engine 'yocto' with layers)"
    ]


def test_unknown_engine_has_no_lock() -> None:
    assert provenance.faults("sockit", "make", provenance.board_text(BOARD), '{"engine": "make"}') != []
