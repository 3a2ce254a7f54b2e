# SPDX-License-Identifier: MIT
"""The board came up as its image promises: boot chain, slot, identity, nothing failed, nobody else can log in."""

from __future__ import annotations

import json

import pytest

from firmware import layout
from tests.acceptance.under_test import UnderTest

pytestmark = pytest.mark.acceptance


def test_boot_chain_is_seen_on_the_console(unit: UnderTest) -> None:
    if unit.console is None:
        pytest.skip("no console on this host: only the emulated board's is recorded")
    text = unit.console.read_text(errors="replace").replace("\r", "")
    places = [
        text.find(mark) for mark in ("U-Boot SPL", "\nU-Boot 20", "Starting kernel", "Linux version", "ssh.service")
    ]
    assert -1 not in places, text[-2000:]
    assert places == sorted(places)


def test_booted_slot_is_the_root_and_its_partition_is_the_layouts(unit: UnderTest) -> None:
    slot = unit.slot()
    assert unit.output("findmnt", "-no", "SOURCE", "/").strip() == layout.SLOTS[slot].device
    sizes = unit.output("lsblk", "-bno", "NAME,START,SIZE", layout.CARD_DEVICE)
    for partition in layout.PARTITIONS[:-1]:
        start = partition.offset // layout.SECTOR_BYTES
        assert f"mmcblk0p{partition.number} {start} {partition.size}" in " ".join(sizes.split())


def test_data_partition_has_grown_to_the_end_of_the_card(unit: UnderTest) -> None:
    card = int(unit.output("lsblk", "-bdno", "SIZE", layout.CARD_DEVICE))
    grown = int(unit.output("lsblk", "-bdno", "SIZE", layout.DATA.device))
    assert card - layout.DATA.offset - grown < layout.MIB


def test_release_on_the_board_is_the_manifests(unit: UnderTest) -> None:
    release = json.loads(unit.output("cat", "/usr/share/cyclone-capture/release.json"))
    assert release["board"] == unit.manifest.board
    assert release["version"] == unit.manifest.version
    assert unit.output("uname", "-r").strip() == unit.manifest.kernel


def test_card_was_made_from_the_image_under_test(unit: UnderTest) -> None:
    card = json.loads(unit.output("cat", "/data/identity/card.json"))
    if card["version"] != unit.manifest.version:
        pytest.skip(f"the card was made from {card['version']}; this image came by upgrade (test of the slot follows)")
    assert card["image_sha256"] == unit.manifest.files["image"].sha256


def test_slot_holds_the_root_file_system_of_the_manifest(unit: UnderTest) -> None:
    device = layout.SLOTS[unit.slot()].device
    blocks, rest = divmod(unit.manifest.rootfs.bytes, layout.MIB)
    assert rest == 0
    said = unit.output(
        "sh", "-c", f"dd if={device} bs=1M count={blocks} status=none | sha256sum", sudo=True, timeout=300
    )
    assert said.split()[0] == unit.manifest.rootfs.sha256


def test_system_runs_and_no_unit_failed(unit: UnderTest) -> None:
    failed = unit.output("systemctl", "--failed", "--no-legend", "--plain")
    assert failed.strip() == ""
    unit.output("systemctl", "is-system-running", "--wait", timeout=120)


def test_kernel_log_holds_no_error(unit: UnderTest) -> None:
    assert unit.output("dmesg", "--level=emerg,alert,crit,err", sudo=True).strip() == ""


def test_root_file_system_is_read_only_and_data_is_not(unit: UnderTest) -> None:
    assert "ro" in unit.output("findmnt", "-no", "OPTIONS", "/").split(",")
    assert "rw" in unit.output("findmnt", "-no", "OPTIONS", "/data").split(",")


def test_no_password_and_no_root_log_in(unit: UnderTest) -> None:
    hashes = [line.split(":")[1] for line in unit.output("cat", "/etc/shadow", sudo=True).splitlines()]
    assert hashes
    assert [value for value in hashes if value not in ("*", "!", "!*", "!!")] == []
    sshd = unit.output("sshd", "-T", sudo=True).lower().splitlines()
    assert "passwordauthentication no" in sshd
    assert "permitrootlogin no" in sshd


def test_slot_holds_no_key(unit: UnderTest) -> None:
    found = unit.output(
        "find",
        "/etc",
        "/root",
        "/usr/lib",
        "-xdev",
        "-name",
        "ssh_host_*key*",
        "-o",
        "-name",
        "authorized_keys",
        sudo=True,
    )
    assert found.strip() == ""


def test_watchdog_is_armed(unit: UnderTest) -> None:
    assert unit.output("cat", "/sys/class/watchdog/watchdog0/state").strip() == "active"
