# SPDX-License-Identifier: MIT
"""What Linux has made of the device tree, as JSON: devices, their drivers, nodes without; runs on the board as root.

Standard library only, and nothing of this project: it is given to `python3 -` by itself.
"""

from __future__ import annotations

import json
from pathlib import Path

SYS, TREE = Path("/sys"), Path("/sys/firmware/devicetree/base")
BUSES = ("platform", "amba", "i2c", "spi", "mmc", "mdio_bus", "usb")


def devices() -> dict[str, str]:
    """Name of each device -> its driver, or an empty text."""
    found = {}
    for bus in BUSES:
        for device in (SYS / "bus" / bus / "devices").glob("*"):
            driver = device / "driver"
            found[device.name] = driver.resolve().name if driver.exists() else ""
    return found


def enabled(node: Path) -> bool:
    """Whether neither the node nor one above it is disabled."""
    above = [node, *(parent for parent in node.parents if parent.is_relative_to(TREE))]
    return not any((place / "status").exists() and b"disabled" in (place / "status").read_bytes() for place in above)


def nodes() -> list[str]:
    """Enabled nodes that say what they are compatible with, and have no device."""
    taken = {link.resolve() for link in SYS.glob("bus/*/devices/*/of_node")}
    found = {path.parent for path in TREE.rglob("compatible")} - {TREE}
    return sorted(str(node.relative_to(TREE)) for node in found - taken if enabled(node))


if __name__ == "__main__":
    deferred = (SYS / "kernel/debug/devices_deferred").read_text()
    print(json.dumps({"devices": devices(), "nodes": nodes(), "deferred": deferred}))
