# SPDX-License-Identifier: MIT
"""The capture service while the card or the cable is out: the other sink gets everything, and what is lost is said.

The root file system is on the card, too: without it no program can be started on the board, so the service is looked
at through its page then, over an SSH connection that was there before.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from firmware import dashboard, layout, receiver
from firmware.errors import TargetError
from firmware.forwarding import LOOPBACK, forward
from firmware.receiver import Reception
from tests.emulated.conftest import Linux
from tests.emulated.service_board import RECORDINGS, capturing, control, journal, shell, wait, wait_for

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

MIB = 1 << 20
CONSOLE_SECONDS = 120.0
DATA_SECTOR = layout.DATA.offset // layout.SECTOR_BYTES


class Reader:
    """A reader in a thread, and the recorded capture that it began."""

    def __init__(self, linux: Linux, name: str, size: int) -> None:
        """Begin; returns when the first window of the recording is on the card."""
        self.seen: Reception | None = None
        self.error: TargetError | None = None
        begun = threading.Event()
        start = capturing(linux, "record", f"--name={name}", size=size)

        def connected() -> None:
            start()
            begun.set()

        self._thread = threading.Thread(target=self._run, args=(linux.stream, connected))
        self._thread.start()
        assert begun.wait(CONSOLE_SECONDS), self.error
        wait(linux, f"grep -q bytes {RECORDINGS}/{name}.journal")

    def _run(self, stream: tuple[str, int], connected: Callable[[], None]) -> None:
        try:
            self.seen = receiver.receive(*stream, connected=connected)
        except TargetError as error:
            self.error = error

    def result(self) -> Reception:
        """What came, at the end of the capture."""
        self._thread.join()
        assert self.seen is not None, self.error
        return self.seen


def seen_whole(reader: Reader, size: int) -> None:
    seen = reader.result()
    assert seen.whole, str(seen)
    assert seen.bytes == size


def test_cable_that_is_out_for_a_moment_costs_nothing(linux: Linux) -> None:
    wait_for(linux, '"open": true')
    size = 48 * MIB
    reader = Reader(linux, "moment", size)
    linux.faults.network.unplug()
    linux.emulator.wait_console("eth0: Link is Down", CONSOLE_SECONDS)
    linux.faults.network.plug()
    linux.emulator.wait_console("eth0: Link is Up", CONSOLE_SECONDS)
    seen_whole(reader, size)
    wait_for(linux, '"recording": false')
    last = control(linux, "status")["disk"]["last"]
    assert (last["written"], last["error"], last["gaps"]) == (size, "", 0)


def test_cable_that_stays_out_drops_the_reader_and_the_recording_is_whole(linux: Linux) -> None:
    size = 64 * MIB
    before = control(linux, "status")["clients_dropped"]
    reader = Reader(linux, "cable", size)
    look = "until journalctl -u captured | grep -q 'nothing acknowledged'; do sleep 1; done"
    shell(linux, f'systemd-run --quiet sh -c "{look}; echo reader gone > /dev/console"')
    linux.faults.network.unplug()
    linux.emulator.wait_console("reader gone", CONSOLE_SECONDS)
    linux.faults.network.plug()
    linux.emulator.wait_console("eth0: Link is Up", CONSOLE_SECONDS)
    linux.target.close()
    wait_for(linux, '"recording": false')
    wait_for(linux, '"state": "idle"')
    status = control(linux, "status")
    last = status["disk"]["last"]
    assert (last["written"], last["error"], last["gaps"], status["lost_bytes"]) == (size, "", 0, 0)
    assert status["clients_dropped"] == before + 1
    assert status["ring"]["blocks_user"] == 0
    shell(linux, f"cd {RECORDINGS} && sha256sum -c cable*.sha256")
    linux.emulator.qmp("system_reset")  # the reader's connection was reset into a cable that was out
    linux.target.close()
    linux.target.wait_for_reboot("")
    reader._thread.join()
    assert reader.seen is None or not reader.seen.ended


def page_until(port: int, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first status of the page that fulfils `condition`."""
    for _ in range(2000):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status.json", timeout=60) as reply:
            found: dict[str, Any] = json.loads(reply.read())
        if condition(found):
            return found
    pytest.fail(f"not seen: {found}")


def test_card_that_is_pulled_ends_the_recording_and_the_stream_goes_on(linux: Linux) -> None:
    wait_for(linux, '"open": true')
    boot = linux.target.boot_id()
    size = 64 * MIB
    with forward(linux.target, (LOOPBACK, dashboard.BOARD_PORT)) as port:
        reader = Reader(linux, "pulled", size)
        linux.faults.card.pull()
        last = page_until(port, lambda status: not status["disk"]["recording"])["disk"]["last"]
        assert f"; {last['synced']} bytes are whole, what came after them is not" in last["error"]
        assert 0 < last["synced"] < size
        seen_whole(reader, size)
        status = page_until(port, lambda status: status["state"] == "idle")
        assert (status["lost_bytes"], status["gaps"], status["device"]["open"]) == (0, 0, True)
    linux.faults.card.heal()
    linux.emulator.qmp("system_reset")
    linux.target.close()
    assert linux.target.wait_for_reboot("") != boot
    wait_for(linux, '"repaired": \\["pulled: cut off while it was written')
    assert int(shell(linux, f"stat -c %s {RECORDINGS}/pulled.sigmf-data")) >= last["synced"]
    shell(linux, f"cd {RECORDINGS} && sha256sum -c pulled.sha256")


def test_card_that_takes_no_more_becomes_read_only_and_recording_is_refused(linux: Linux) -> None:
    """The last one on this board: `data` is read-only until it is checked at the next boot."""
    size = 48 * MIB
    reader = Reader(linux, "worn", size)
    linux.faults.card.write_error(DATA_SECTOR)
    seen_whole(reader, size)
    wait_for(linux, '"recording": false')
    last = control(linux, "status")["disk"]["last"]
    assert last["error"].startswith(("Input/output error; ", "Read-only file system; "))
    assert f"{last['synced']} bytes are whole" in last["error"]
    assert f"recording worn: {last['error']}" in journal(linux)
    done = linux.target.run(["capturectl", "record"], sudo=True)
    assert done.status == 2
    why = "(Input/output error|Read-only file system)"  # the latter once the file system has met an error of its own
    assert re.search(f"{why} \\(valid: a folder that the service may write\\)", done.stderr), done.stderr
