# SPDX-License-Identifier: MIT
"""The board came up as its image promises: boot chain, slot, identity, nothing failed, nobody else can log in."""

from __future__ import annotations

import json
import time

import paramiko
import pytest

from firmware import deploy, layout, start_up
from firmware.board import STREAM_PORT
from tests.acceptance import logs
from tests.acceptance.under_test import COMMAND_SECONDS, UnderTest

pytestmark = pytest.mark.acceptance
DHCP = (("udp", 68), ("udp", 546))  # its client's, bound to the wired interface
ROOT = "/sys/block/dm-0"  # made by the boot script, docs/interfaces.md, "Boot"


@pytest.mark.promise("boot chain")
def test_boot_chain_is_seen_on_the_console(unit: UnderTest) -> None:
    if unit.console is None:
        pytest.skip("nobody records this board's console (valid: ./inv test --lg-env, or the emulated board)")
    text = unit.console.read_text(errors="replace").replace("\r", "")
    places = [
        text.find(mark) for mark in ("U-Boot SPL", "\nU-Boot 20", "Starting kernel", "Linux version", "ssh.service")
    ]
    assert -1 not in places, text[-2000:]
    assert places == sorted(places)


@pytest.mark.promise("slots")
def test_booted_slot_is_the_root_and_its_partition_is_the_layouts(unit: UnderTest) -> None:
    below = unit.output("ls", f"{ROOT}/slaves").split()
    assert [f"/dev/{name}" for name in below] == [layout.SLOTS[unit.slot()].device]
    sizes = unit.output("lsblk", "-bno", "NAME,START,SIZE", layout.CARD_DEVICE)
    for partition in layout.PARTITIONS[:-1]:
        start = partition.offset // layout.SECTOR_BYTES
        assert f"mmcblk0p{partition.number} {start} {partition.size}" in " ".join(sizes.split())


@pytest.mark.promise("slots")
def test_each_block_of_the_root_is_checked_when_it_is_read(unit: UnderTest) -> None:
    """dm-verity, from the kernel's command line; nothing has been found damaged."""
    assert unit.output("cat", f"{ROOT}/dm/name", f"{ROOT}/ro").split() == ["root", "1"]
    mounted = unit.output("findmnt", "-no", "MAJ:MIN", "/").strip()
    assert mounted == unit.output("cat", f"{ROOT}/dev").strip()
    assert deploy.status(unit.target)["damage"] == ""


@pytest.mark.promise("slots")
def test_booted_slot_is_committed_and_first_to_be_tried(unit: UnderTest) -> None:
    """A slot on trial goes back by itself: what is accepted must be what stays."""
    slot, status = unit.slot(), deploy.status(unit.target)
    assert (status["booted"], status["trial"]) == (slot, None)
    kept = dict(line.split("=", 1) for line in unit.output("fw_printenv", sudo=True).splitlines())
    assert kept["BOOT_ORDER"].split()[0] == slot
    assert int(kept[f"BOOT_{slot}_LEFT"]) > 0


@pytest.mark.promise("storage")
def test_data_partition_has_grown_to_the_end_of_the_card(unit: UnderTest) -> None:
    card = int(unit.output("lsblk", "-bdno", "SIZE", layout.CARD_DEVICE))
    grown = int(unit.output("lsblk", "-bdno", "SIZE", layout.DATA.device))
    assert card - layout.DATA.offset - grown < layout.MIB


@pytest.mark.promise("identity")
def test_release_on_the_board_is_the_manifests(unit: UnderTest) -> None:
    release = json.loads(unit.output("cat", "/usr/share/cyclone-capture/release.json"))
    assert release["board"] == unit.manifest.board
    assert release["version"] == unit.manifest.version
    assert unit.output("uname", "-r").strip() == unit.manifest.kernel


@pytest.mark.promise("identity")
def test_card_was_made_from_the_image_under_test(unit: UnderTest) -> None:
    card = json.loads(unit.output("cat", "/data/identity/card.json"))
    if card["version"] != unit.manifest.version:
        pytest.skip(f"the card was made from {card['version']}; this image came by upgrade (test of the slot follows)")
    assert card["image_sha256"] == unit.manifest.files["image"].sha256


@pytest.mark.promise("slots")
def test_slot_holds_the_root_file_system_of_the_manifest(unit: UnderTest) -> None:
    device = layout.SLOTS[unit.slot()].device
    blocks, rest = divmod(unit.manifest.rootfs.bytes, layout.MIB)
    assert rest == 0
    said = unit.output("sh", "-c", f"dd if={device} bs=1M count={blocks} status=none | sha256sum", sudo=True)
    assert said.split()[0] == unit.manifest.rootfs.sha256


@pytest.mark.promise("service")
def test_system_runs_and_no_unit_failed(unit: UnderTest) -> None:
    failed = unit.output("systemctl", "--failed", "--no-legend", "--plain")
    assert failed.strip() == ""
    assert start_up.wait(unit.target) == "running"


@pytest.mark.promise("logs")
def test_kernel_log_holds_no_error(unit: UnderTest) -> None:
    assert unit.output("dmesg", "--level=emerg,alert,crit,err", sudo=True).strip() == ""


@pytest.mark.promise("storage")
def test_root_file_system_is_read_only_and_data_is_not(unit: UnderTest) -> None:
    assert "ro" in unit.output("findmnt", "-no", "OPTIONS", "/").split(",")
    assert "rw" in unit.output("findmnt", "-no", "OPTIONS", "/data").split(",")


@pytest.mark.promise("security")
def test_no_password_and_no_root_log_in(unit: UnderTest) -> None:
    hashes = [line.split(":")[1] for line in unit.output("cat", "/etc/shadow", sudo=True).splitlines()]
    assert hashes
    assert [value for value in hashes if value not in ("*", "!", "!*", "!!")] == []
    sshd = unit.output("sshd", "-T", sudo=True).lower().splitlines()
    assert "passwordauthentication no" in sshd
    assert "permitrootlogin no" in sshd


@pytest.mark.promise("security")
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


@pytest.mark.promise("watchdog")
def test_watchdog_is_armed(unit: UnderTest) -> None:
    assert unit.output("cat", "/sys/class/watchdog/watchdog0/state").strip() == "active"


@pytest.mark.promise("logs")
def test_warnings_in_the_kernel_log_are_explained(unit: UnderTest) -> None:
    lines = unit.output("dmesg", "--level=warn", "--notime", sudo=True).splitlines()
    assert logs.unexplained(lines) == []


@pytest.mark.promise("clock")
def test_clock_runs_as_fast_as_this_computers(unit: UnderTest) -> None:
    """The board has no clock that runs without power: its date may be the image's until a time server answers."""
    before, here = _uptime(unit), time.monotonic()
    unit.output("sleep", "5")
    ratio = (_uptime(unit) - before) / (time.monotonic() - here)
    unit.recorder.measure("clock, board / host", ratio, "")
    assert ratio == pytest.approx(1.0, abs=0.2)


@pytest.mark.promise("clock")
def test_date_is_not_before_the_image(unit: UnderTest) -> None:
    made = int(unit.output("stat", "-c", "%Y", "/usr/share/cyclone-capture/release.json"))
    assert int(unit.output("date", "+%s")) >= made


@pytest.mark.promise("network")
def test_network_has_carrier_an_address_and_the_boards_own_mac(unit: UnderTest) -> None:
    kept = dict(line.split("=", 1) for line in unit.output("cat", "/data/identity/identity.env").splitlines())
    links = [link for link in json.loads(unit.output("ip", "-j", "address")) if link["link_type"] == "ether"]
    wired = [link for link in links if "LOWER_UP" in link["flags"]]
    assert wired, links
    assert kept["ethaddr"] in [link["address"] for link in wired]
    assert [found for link in wired for found in link["addr_info"] if found["family"] == "inet"]


@pytest.mark.promise("identity")
def test_name_and_machine_id_are_the_cards(unit: UnderTest) -> None:
    kept = dict(line.split("=", 1) for line in unit.output("cat", "/data/identity/identity.env").splitlines())
    assert unit.output("cat", "/proc/sys/kernel/hostname").strip() == kept["hostname"]
    assert unit.output("cat", "/etc/machine-id").strip() == kept["machine_id"]


@pytest.mark.promise("security")
def test_nothing_else_listens_on_the_network(unit: UnderTest) -> None:
    found = set()
    for line in unit.output("ss", "-H", "-ltun").splitlines():
        protocol, (address, _, port) = line.split()[0], line.split()[4].rpartition(":")
        if not address.startswith(("127.", "[::1]")):
            found.add((protocol, int(port)))
    assert found - {("tcp", 22), ("tcp", STREAM_PORT), *DHCP} == set()


@pytest.mark.promise("security")
@pytest.mark.parametrize("user", ["operator", "root"])
def test_password_is_refused_over_the_network(unit: UnderTest, user: str) -> None:
    with paramiko.Transport((unit.target.host, unit.target.port)) as link:
        link.start_client(timeout=COMMAND_SECONDS)
        with pytest.raises(paramiko.BadAuthenticationType) as refused:
            link.auth_password(user, "operator", fallback=False)
        assert refused.value.allowed_types == ["publickey"]


@pytest.mark.promise("storage")
@pytest.mark.needs("test_root_file_system_is_read_only_and_data_is_not")
def test_data_partition_keeps_what_is_written(unit: UnderTest) -> None:
    script = (
        "set -e; f=/data/acceptance.tmp; trap 'rm -f $f' EXIT; head -c 8388608 /dev/urandom >/run/acceptance.tmp; "
        "cp /run/acceptance.tmp $f; sync $f; echo 1 >/proc/sys/vm/drop_caches; "
        "cmp $f /run/acceptance.tmp; rm /run/acceptance.tmp"
    )
    unit.output("sh", "-c", script, sudo=True)


def _uptime(unit: UnderTest) -> float:
    return float(unit.output("cat", "/proc/uptime").split()[0])
