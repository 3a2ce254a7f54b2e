# SPDX-License-Identifier: MIT
"""Kernel, modules, driver, device tree, overlay, U-Boot and service as BitBake built them, on the emulated board.

Slow, and for who has BitBake's results (`bitbake_pieces.py`): one boot from the boot ROM on, one capture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from firmware import layout, lock, reach, receiver
from firmware.emulator import Emulator
from firmware.errors import UserError
from firmware.faults import Faults
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target
from tests.emulated import bitbake_pieces
from tests.emulated.bitbake_pieces import Pieces
from tests.emulated.conftest import Linux
from tests.emulated.service_board import capturing

MIB = 1 << 20
LOADER = "/usr/lib/cyclone-capture/boot-loader"


def missing() -> str:
    """Why there is nothing to test, or nothing."""
    if not os.environ.get(lock.MIRRORS):
        return f"{lock.MIRRORS} names no mirror of OpenEmbedded"
    try:
        bitbake_pieces.results()
    except UserError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.emulated, pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Pieces:
    return bitbake_pieces.find(bitbake_pieces.results(), tmp_path_factory.mktemp("pieces"))


@pytest.fixture(scope="module")
def linux(pieces: Pieces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linux]:
    folder = tmp_path_factory.mktemp("board")
    known = KnownHosts(folder / "known_hosts")
    machine = Emulator(pieces.board, bitbake_pieces.make_card(pieces, folder, known), folder)
    machine.start()
    try:
        target = Target(reach.LOOPBACK, machine.ssh_port, known=known)
        reach.wait_until_up(reach.Reach(target, (reach.LOOPBACK, machine.stream_port), machine.console_log))
        with target:
            yield Linux(pieces.board, machine, Faults(machine), target)
    finally:
        machine.stop()


def test_it_is_bitbakes_kernel_and_u_boot_that_run(linux: Linux, pieces: Pieces) -> None:
    console = linux.emulator.console_log.read_text(errors="replace")
    assert "U-Boot SPL 2026.01-capture" in console
    assert "fabric: configured" in console
    assert linux.target.output(["uname", "-r"]).strip() == pieces.modules.name
    assert (
        linux.target.output(["modinfo", "-F", "vermagic", "capture-ring"], sudo=True).split()[0] == pieces.modules.name
    )


def test_the_capture_is_whole(linux: Linux) -> None:
    size = 16 * MIB
    seen = receiver.receive(
        *linux.stream,
        pattern="prbs31",
        connected=capturing(linux, "start", "--pattern=prbs31", size=size),
    )
    assert seen.whole, str(seen)
    assert seen.bytes == size
    print(seen)


def test_the_slot_carries_the_boot_loader_that_is_on_the_card(linux: Linux) -> None:
    """Nothing is to be written: what the slot carries is what booted; and the canary sees U-Boot's count."""
    said = linux.target.output(["field-update", "boot-loader"], sudo=True)
    assert "the boot loader is this one already" in said
    size = int(linux.target.output(["stat", "-c", "%s", f"{LOADER}/spl-1"]))
    assert size == layout.SPL_BYTES
