# SPDX-License-Identifier: MIT
"""What an upgrade does beside the slot, on the board: encrypted bundles, boot loader, canary, migration, reset."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from firmware import bundle, deploy, engine, keys, payload, transfer
from firmware.deploy import Offer
from firmware.errors import TargetError
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target, Unreachable
from firmware.tree import Tree
from tests.emulated.conftest import Linux
from tests.emulated.service_board import shell

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

SETTINGS = "/data/captured/settings"
OTHER_SETTING = "saved by another U-Boot than this version's: recovery_seconds"
HOOK = f"#!/bin/sh\nset -e\n[ $1 = paths ] && echo {SETTINGS} && exit\n[ $1 = run ]\necho migrated >{SETTINGS}\n"
# the same U-Boot, whose header has another time and, over that, another CRC
OTHER_U_BOOT = """
import pathlib, sys, zlib
path = pathlib.Path(sys.argv[1])
image = bytearray(path.read_bytes())
image[4:12] = bytes(4) + b"\\0\\0\\0\\1"
image[4:8] = zlib.crc32(image[:64]).to_bytes(4, "big")
path.write_bytes(image)
"""


@pytest.fixture(scope="module")
def inputs(linux: Linux) -> bundle.Inputs:
    deploy.verdict(linux.target)
    return engine.bundle_inputs(linux.board)


def reboot(linux: Linux) -> deploy.Status:
    """The status after a reboot."""
    deploy.reboot(linux.target, lambda _text: None)
    return deploy.verdict(linux.target)


def offer(inputs: bundle.Inputs, folder: Path, name: str, edits: Tree) -> Offer:
    version = f"{inputs.version.partition('+')[0]}+{name}"
    return Offer(inputs.board.name, version, bundle.variant(inputs, folder, edits, version), "")


def test_canary_finds_nothing_on_a_new_board_and_in_its_second_boot(linux: Linux, inputs: bundle.Inputs) -> None:
    assert deploy.verdict(linux.target)["environment"] == {"wrong": [], "noted": []}
    assert reboot(linux)["environment"] == {"wrong": [], "noted": []}


def test_encrypted_bundle_is_taken_by_the_board_that_has_the_key(
    linux: Linux, inputs: bundle.Inputs, tmp_path: Path
) -> None:
    for name in ("owner", "bundle"):
        (tmp_path / name).mkdir()
    owner = keys.make(tmp_path / "owner", "board")
    secret = replace(inputs, signer=replace(inputs.signer, recipients=owner.authority))
    made = offer(secret, tmp_path / "bundle", "secret", Tree(inputs.epoch))
    with pytest.raises(TargetError, match=r"(?i)decrypt|encryption|key") as caught:
        transfer.install(linux.target, made.bundle, made.version)
    print(f"\n    without the key: {caught.value}")
    linux.target.put((owner.folder / "ca.key").read_bytes(), "/data/identity/update.key", 0o600, sudo=True)
    linux.target.put(owner.authority.read_bytes(), "/data/identity/update.pem", sudo=True)
    transfer.install(linux.target, made.bundle, made.version)
    assert deploy.status(linux.target)["trial"]["version"] == made.version
    shell(linux, "rauc status mark-active booted; rm /data/field-update/state.json")


def test_engineer_may_do_what_is_listed_and_no_more(linux: Linux, inputs: bundle.Inputs) -> None:
    known = KnownHosts(linux.emulator.folder / "known_hosts")
    target = Target(linux.target.host, linux.target.port, "engineer", known=known)
    with pytest.raises(Unreachable, match="does not let engineer in"):
        target.connect()
    own = linux.target.output(["cat", "/data/identity/ssh/authorized_keys"], sudo=True)
    linux.target.put(own.encode(), "/data/identity/ssh/engineer_keys", mode=0o644, sudo=True)
    with target:
        for command in (["sh", "-c", "id"], ["cat", "/data/identity/update.key"], ["field-update", "factory-reset"]):
            assert target.run(command, sudo=True).status, f"{command} is allowed"
        assert target.run(["cat", "/data/identity/update.key"]).status, "the key for bundles may be read"
        assert target.run(["rauc", "status"]).status, "RAUC answers who is not root"
        with pytest.raises(paramiko.ChannelException, match="prohibited"):
            target.transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 0), timeout=60)
        assert "health" in target.output(["field-update", "status"], sudo=True)
        assert "state" in target.output(["capturectl", "status", "--json"])
        assert target.output(["journalctl", "-u", "field-update-boot", "-o", "cat", "--no-pager"])


def test_new_boot_loader_boots_and_the_old_one_comes_back(linux: Linux, inputs: bundle.Inputs) -> None:
    said = linux.target.output(["field-update", "boot-loader"], sudo=True, timeout=300)
    assert said == "the boot loader is this one already\n"
    shell(linux, "fw_setenv recover 'echo an older script'; fw_setenv recovery_seconds 60")
    said = linux.target.output(["field-update", "boot-loader"], sudo=True, timeout=300)
    assert said == "U-Boot's environment has the new recover\nthe boot loader is new from the next boot on\n"
    assert shell(linux, "fw_printenv -n recovery_seconds") == "60\n", "a setting is the board's own"
    assert reboot(linux)["environment"] == {"wrong": [], "noted": [OTHER_SETTING]}
    shell(linux, "fw_setenv recovery_seconds 30")
    shell(linux, f"cp -a {payload.LOADER} /run/loader")
    linux.target.output(["python3", "-c", OTHER_U_BOOT, "/run/loader/u-boot.img"], sudo=True)
    shell(linux, f"mount --bind /run/loader {payload.LOADER}")
    said = linux.target.output(["field-update", "boot-loader"], sudo=True, timeout=300)
    print(f"\n{said}")
    assert said.splitlines()[0] == "U-Boot is written to place 1"
    assert said.splitlines()[-1] == "the boot loader is new from the next boot on"
    assert reboot(linux)["environment"]["wrong"] == []
    said = linux.target.output(["field-update", "boot-loader"], sudo=True, timeout=300)
    assert said.splitlines()[0] == "U-Boot is written to place 0", "it ran from place 1, and the slot has another one"
    reboot(linux)
    said = linux.target.output(["field-update", "boot-loader"], sudo=True, timeout=300)
    assert said == "the boot loader is this one already\n"


def test_data_that_was_migrated_comes_back_with_the_old_slot(
    linux: Linux, inputs: bundle.Inputs, tmp_path: Path
) -> None:
    shell(linux, f"echo old >{SETTINGS}")
    edits = Tree(inputs.epoch)
    edits.file("/usr/lib/field-update/migrate.d/10-settings", HOOK, mode=0o755)
    check = f"#!/bin/sh\ncat {SETTINGS}; exit 1\n"
    edits.file("/usr/lib/field-update/health.d/99-sick", check, mode=0o755)
    made = offer(inputs, tmp_path, "migrates", edits)
    transfer.install(linux.target, made.bundle, made.version)
    deploy.reboot(linux.target, lambda _text: None)
    now = deploy.verdict(linux.target)
    assert (now["booted"], now["last"]["event"]) == ("A", "reverted")
    assert "99-sick: migrated" in now["last"]["reason"]
    assert shell(linux, f"cat {SETTINGS}") == "old\n"


def test_factory_reset_leaves_the_identity(linux: Linux, inputs: bundle.Inputs) -> None:
    shell(linux, f"echo mine >{SETTINGS}")
    before = shell(linux, "cat /data/identity/ssh/ssh_host_ed25519_key.pub"), linux.target.boot_id()
    with contextlib.suppress(Unreachable):  # the reboot that it begins may take the link before its exit status
        linux.target.output(["field-update", "factory-reset"], sudo=True)
    linux.target.wait_for_reboot(before[1])
    deploy.verdict(linux.target)
    assert shell(linux, f"test -e {SETTINGS} || echo gone") == "gone\n"
    assert shell(linux, "cat /data/identity/ssh/ssh_host_ed25519_key.pub") == before[0]
    assert set(shell(linux, "ls /data/field-update").split()) <= {"state.json", "reverted.log"}
