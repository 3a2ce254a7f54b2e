# SPDX-License-Identifier: MIT
"""Enabling units: a unit that is not there or cannot be enabled is refused; the links are those of systemctl."""

from __future__ import annotations

import pytest

from firmware import units
from firmware.errors import UserError
from firmware.tree import Tree

pytestmark = pytest.mark.unit
PLACE = "/usr/lib/systemd/system"


def make(**texts: str) -> Tree:
    slot = Tree(1)
    for name, text in texts.items():
        slot.file(f"{PLACE}/{name}.service", text)
    return slot


def test_missing_unit_is_refused() -> None:
    with pytest.raises(UserError, match=r"'x\.service' is enabled by a recipe but not in the slot"):
        units.enable(make(), "x.service")


def test_masked_unit_is_no_unit() -> None:
    slot = make()
    slot.link(f"{PLACE}/x.service", "/dev/null")
    with pytest.raises(UserError, match="not in the slot"):
        units.enable(slot, "x.service")


@pytest.mark.parametrize("text", ["[Service]\nWantedBy=x.target\n", "[Install]\n#WantedBy=x.target\n", ""])
def test_unit_without_install_section_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"no \[Install\] section"):
        units.enable(make(x=text), "x.service")


def test_links_are_made_for_all_keys_and_for_the_units_named_by_also() -> None:
    slot = make(
        x="[Install]\nWantedBy=a.target b.target\nWantedBy = c.target\nAlias=y.service\nAlso=z.service\n",
        z="[Install]\nRequiredBy=d.mount\nAlso=x.service\n",
    )
    units.enable(slot, "x.service")
    links = {path: slot[path].target for path in slot.below("/etc") if slot[path].kind == "link"}
    assert links == {
        **{f"/etc/systemd/system/{name}.target.wants/x.service": f"{PLACE}/x.service" for name in "abc"},
        "/etc/systemd/system/y.service": f"{PLACE}/x.service",
        "/etc/systemd/system/d.mount.requires/z.service": f"{PLACE}/z.service",
    }


def test_what_packages_enabled_is_forgotten_but_not_their_files() -> None:
    slot = make(x="")
    slot.link("/etc/systemd/system/multi-user.target.wants/x.service", f"{PLACE}/x.service")
    slot.link("/etc/systemd/system/alias.service", f"{PLACE}/x.service")
    slot.file("/etc/systemd/system/x.service.d/own.conf", "")
    units.forget_enabled(slot)
    assert slot.below("/etc/systemd/system") == [
        "/etc/systemd/system/x.service.d",
        "/etc/systemd/system/x.service.d/own.conf",
    ]
