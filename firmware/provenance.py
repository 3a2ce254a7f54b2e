# SPDX-License-Identifier: MIT
"""What an image says of its own making, in two files beside `release.json` on the board.

    board.json    the board file as it was understood, every default filled in
    lock.json     what it was made of: layers and their commits (Yocto), or packages and compiled sources (Debian)

So a board in the field answers by itself what is in it; `firmware/verification.py` refuses an image without them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from firmware.board import Board
from firmware.lock import Layer
from firmware.manifest import SourcePackage

PLACE = "/usr/share/cyclone-capture"
BOARD_FILE = f"{PLACE}/board.json"
LOCK_FILE = f"{PLACE}/lock.json"
CONTENT = {"debian": "packages", "yocto": "layers"}  # what each engine's lock lists in any case


def board_text(board: Board) -> str:
    """`board.json`."""
    return board.model_dump_json(indent=2) + "\n"


def yocto_lock(layers: Iterable[Layer]) -> str:
    """`lock.json` of the Yocto engine: where each upstream layer came from."""
    return _text("yocto", layers={one.name: {"url": one.url, "commit": one.commit} for one in layers})


def debian_lock(packages: Iterable[Mapping[str, str]], sources: Sequence[SourcePackage]) -> str:
    """`lock.json` of the Debian engine: versions of packages, and what was compiled."""
    return _text(
        "debian",
        packages={one["name"]: one["version"] for one in packages},
        sources={one.package: {"version": one.version, "sha256": one.sha256} for one in sources},
    )


def _text(engine: str, **content: Mapping[str, object]) -> str:
    return json.dumps({"engine": engine, **content}, indent=2, sort_keys=True) + "\n"


def faults(board: str, engine: str, board_json: str, lock_json: str) -> list[str]:
    """What is wrong with the two files of a slot that is for `board` and by `engine`."""
    found = []
    try:
        if (name := Board.model_validate_json(board_json).name) != board:
            found.append(f"{BOARD_FILE} is of board {name!r} (valid: {board!r}, as the release)")
    except ValidationError as error:
        found.append(f"{BOARD_FILE}: {error.errors()[0]['msg']} (valid: the resolved board file)")
    wanted = CONTENT.get(engine, "")
    try:
        lock = json.loads(lock_json)
        whole = lock["engine"] == engine and bool(lock[wanted])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        found.append(f"{LOCK_FILE} does not say what was used (valid: engine {engine!r} with {wanted})")
    return found
