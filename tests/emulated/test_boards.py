# SPDX-License-Identifier: MIT
"""The other boards: their own U-Boot, device tree and image boot to a log-in, and Linux finds what is there.

The default board has its own tests, test_linux_stress.py above all. Of the others one is enough in CI.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests import explained
from tests.emulated import boot_log, linux_devices
from tests.emulated.conftest import Linux, booted

pytestmark = pytest.mark.emulated

RELEASE = "/usr/share/cyclone-capture/release.json"
OTHERS = ["de10-nano", pytest.param("sockit", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=OTHERS)
def linux(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linux]:
    with booted(tmp_path_factory.mktemp(request.param), name=request.param) as running:
        yield running


def test_device_that_is_not_in_the_table_would_be_seen() -> None:
    wanted = linux_devices.expected("de10-nano")
    assert len(wanted) > 30
    found = {name: "" if driver == linux_devices.NO_DRIVER else driver for name, driver in wanted.items()}
    assert linux_devices.differences(found, wanted) == []
    found |= {"ff702000.ethernet": "", "ff705000.spi": "spi-cadence-quadspi"}
    del found["leds"]
    assert linux_devices.differences(found, wanted) == [
        "ff702000.ethernet: driver none, expected socfpga-dwmac",
        "ff705000.spi: driver spi-cadence-quadspi, expected not in docs/emulator.md",
        "leds: driver not there, expected leds-gpio",
    ]


def test_board_boots_from_its_own_card_to_a_log_in(linux: Linux) -> None:
    assert json.loads(linux.target.get(RELEASE))["board"] == linux.board.name
    assert linux.board.name in linux.target.get("/proc/device-tree/compatible")
    assert linux.target.get("/sys/devices/system/cpu/online") == "0-1\n"
    assert linux.target.output(["systemctl", "--failed", "--plain", "--no-legend"]) == ""


def test_each_device_has_its_driver_or_a_reason(linux: Linux) -> None:
    assert linux_devices.unaccounted(linux) == []


def test_boot_log_has_no_line_without_a_reason(linux: Linux) -> None:
    console, kernel = boot_log.boot_log(linux)
    assert explained.unexplained(console + kernel, explained.allowed()) == []
