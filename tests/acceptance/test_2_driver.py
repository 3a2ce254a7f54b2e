# SPDX-License-Identifier: MIT
"""The driver: bound through the overlay to the fabric that the manifest names, reachable only for its group."""

from __future__ import annotations

import pytest

from tests.acceptance.under_test import UnderTest

pytestmark = pytest.mark.acceptance

NODE = "/proc/device-tree/soc/capture@ff200000"


@pytest.mark.promise("driver")
def test_driver_is_bound_through_the_overlay(unit: UnderTest) -> None:
    assert "cyclone-capture,capture-ring" in unit.output("cat", f"{NODE}/compatible")
    assert unit.output("ls", "/sys/bus/platform/drivers/capture-ring").split().count("ff200000.capture") == 1


@pytest.mark.promise("fabric")
def test_fabric_is_the_one_the_manifest_promises(unit: UnderTest) -> None:
    said = unit.output("od", "-An", "-tx1", f"{NODE}/cyclone-capture,fabric-id").split()
    assert int("".join(said), 16) == unit.manifest.promises.fabric_id


@pytest.mark.promise("fabric")
def test_fpga_is_in_user_mode(unit: UnderTest) -> None:
    assert unit.output("cat", "/sys/class/fpga_manager/fpga0/state").strip() == "operating"


@pytest.mark.promise("security")
@pytest.mark.needs("test_driver_is_bound_through_the_overlay")
def test_device_belongs_to_its_group_only(unit: UnderTest) -> None:
    assert (
        unit.output("stat", "-c", "%U:%G %a %F", "/dev/capture0").strip() == "root:capture 660 character special file"
    )


@pytest.mark.promise("driver")
def test_module_of_another_kernel_cannot_be_in_the_slot(unit: UnderTest) -> None:
    module = f"/usr/lib/modules/{unit.manifest.kernel}/updates/capture-ring.ko"
    assert unit.output("modinfo", "-F", "vermagic", module, sudo=True).split()[0] == unit.manifest.kernel


@pytest.mark.promise("service")
def test_service_answers(unit: UnderTest) -> None:
    assert unit.output("systemctl", "show", "-P", "SubState", "captured").strip() == "running"
    assert unit.status()["version"]


@pytest.mark.promise("driver")
@pytest.mark.needs("test_driver_is_bound_through_the_overlay", "test_service_answers")
def test_ring_is_as_large_as_promised(unit: UnderTest) -> None:
    device = unit.status()["device"]
    promised = unit.manifest.promises
    assert (device["blocks"], device["block_bytes"]) == (promised.ring_blocks, promised.ring_block_bytes)


@pytest.mark.promise("driver")
@pytest.mark.needs("test_driver_is_bound_through_the_overlay", "test_service_answers")
def test_device_has_one_owner(unit: UnderTest) -> None:
    """The service holds it."""
    said = unit.target.run(["dd", "if=/dev/capture0", "of=/dev/null", "count=1"], sudo=True)
    assert said.status != 0
    assert "busy" in said.stderr
