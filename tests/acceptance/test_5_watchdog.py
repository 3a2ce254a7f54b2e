# SPDX-License-Identifier: MIT
"""The watchdog really bites: it is taken from systemd, left unfed, and the board comes back by itself."""

from __future__ import annotations

import pytest

from firmware import start_up
from tests.acceptance.under_test import UnderTest

pytestmark = [pytest.mark.acceptance, pytest.mark.full]

# systemd lets go of the device when its own interval is zero; a close without the letter V leaves the watchdog running
LET_GO = (
    "busctl set-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "
    "RuntimeWatchdogUSec t 0 && printf x >/dev/watchdog0"
)
BITE_SECONDS = 600.0


@pytest.mark.promise("watchdog")
@pytest.mark.needs("test_watchdog_is_armed")
def test_unfed_watchdog_brings_the_same_slot_back(unit: UnderTest) -> None:
    slot, boot = unit.slot(), unit.target.boot_id()
    unit.output("sh", "-c", LET_GO, sudo=True)
    with unit.recorder.step("until it answers from another boot"):
        unit.target.wait_for_reboot(boot, BITE_SECONDS)
    assert unit.slot() == slot
    assert start_up.wait(unit.target) == "running"
    unit.quick_capture()
