# SPDX-License-Identifier: MIT
"""Bad bundles offered to a board itself, past all checks of this computer: its RAUC refuses each, with a reason.

RAUC streams, and takes from the board's own slots what they hold: a flipped bit that it never fetches does no harm, and
then what it has written, into a slot that was blank, is the good bundle's content, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from firmware import deploy, engine, tool, transfer
from firmware.bad_bundles import KINDS, Workshop
from firmware.bench_streaming import blank
from firmware.errors import TargetError
from tests.emulated.conftest import Linux
from tests.emulated.service_board import shell
from tests.emulated.test_bad_links import UNTOUCHED, variant

pytestmark = [pytest.mark.emulated, pytest.mark.slow]
FLIPPED = [name for name in KINDS if name.startswith("bit flipped at")]
ELSEWHERE = (
    "parts that do not fit",  # soundly signed: a board learns that at its trial, and goes back
    *(name for name in FLIPPED if name not in (FLIPPED[0], FLIPPED[4], FLIPPED[-1])),  # an installation each
)
REASON = re.compile(
    "Invalid bundle format: (Signature|Payload|Bundle) |signature verification failed: |Compatible mismatch: |"
    "Failed mounting bundle: (Check read from|Unexpected|Failed to load) dm|Error reading from file: Input/output|"
    "failed to configure streaming: (unexpected HTTP error code 416|incomplete HTTP)|No target slot for class|"
    "'plain' not supported"
)


@pytest.fixture(scope="module")
def shop(linux: Linux, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    deploy.verdict(linux.target)
    folder = tmp_path_factory.mktemp("shop")
    inputs = engine.bundle_inputs(linux.board)
    return Workshop(inputs, variant(inputs, folder, "bad").bundle, folder)


@pytest.fixture(scope="module")
def content(shop: Workshop) -> Path:
    """The slot that the good bundle holds."""
    out = shop.folder / "content"
    keyring = shop.inputs.signer.authority
    tool.capture([tool.need("rauc", "rauc"), "extract", f"--keyring={keyring}", shop.good, out])
    return out / "rootfs.ext4"


def first_choice(linux: Linux) -> tuple[str, str, object]:
    """What must not change: slot, the slot that the next boot takes, trial. A slot that RAUC began to write is bad."""
    now = deploy.status(linux.target)
    return now["booted"], shell(linux, "fw_printenv -n BOOT_ORDER || echo A B").split()[0], now["trial"]


def refusal(linux: Linux, made: Path) -> str:
    """What the board says when it is offered `made`, "" when it takes it."""
    try:
        transfer.install(linux.target, made, "9.9.9")
    except TargetError as error:
        return str(error)
    finally:
        made.unlink()
    return ""


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ELSEWHERE])
def test_board_refuses_a_bad_bundle(linux: Linux, shop: Workshop, content: Path, name: str) -> None:
    made, before = KINDS[name].make(shop), first_choice(linux)
    said = refusal(linux, made)
    print(f"\n    {name}: {said or 'nowhere that it was fetched from'}")
    if said:
        assert REASON.search(said.partition(UNTOUCHED + "field-update: rauc install: ")[2])
        assert first_choice(linux) == before
        return
    assert name in FLIPPED, "taken"
    assert slot_of(linux, "B", content.stat().st_size) == hashlib.sha256(content.read_bytes()).hexdigest()
    blank(linux.target, content.stat().st_size)


def test_board_takes_the_good_one_after_all_that(linux: Linux, shop: Workshop, content: Path) -> None:
    transfer.install(linux.target, shop.good, "9.9.9")
    assert slot_of(linux, "B", content.stat().st_size) == hashlib.sha256(content.read_bytes()).hexdigest()


def slot_of(linux: Linux, name: str, size: int) -> str:
    """SHA-256 of what a slot of the board begins with."""
    slots = json.loads(shell(linux, "rauc status --output-format=json"))["slots"]
    device = next(slot["device"] for pair in slots for slot in pair.values() if slot["bootname"] == name)
    return shell(linux, f"head -c {size} {device} | sha256sum").split()[0]
