# SPDX-License-Identifier: MIT
"""A slot's content, made of a synthetic base: what must not be in it is not, what recipes name is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from firmware import board, layout, paths, payload, recipe, rootfs, tool
from firmware.errors import UserError
from firmware.payload import Parts
from firmware.recipe import Recipe
from firmware.tree import Tree

pytestmark = pytest.mark.unit
UNIT = "[Install]\nWantedBy=multi-user.target\n"


def make_base() -> Tree:
    """What Debian's packages leave behind, as far as it matters."""
    slot = Tree(1_700_000_000)
    slot.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    slot.file("/etc/group", "root:x:0:\nshadow:x:42:\n")
    slot.file("/etc/shadow", "root::20777:0:99999:7:::\n")
    slot.file("/etc/gshadow", "root:*::\n")
    slot.file("/etc/ssh/ssh_host_rsa_key", "secret")
    slot.file("/etc/ssh/sshd_config", "Include")
    slot.file("/etc/machine-id", "0123")
    slot.file("/var/log/dpkg.log", "today")
    slot.file("/root/.bashrc", "")
    slot.file("/boot/old", "")
    slot.file("/usr/lib/systemd/system/systemd-networkd.service", UNIT)
    slot.file("/usr/lib/systemd/system/e2scrub_all.timer", "[Install]\nWantedBy=timers.target\n")
    slot.link("/etc/systemd/system/timers.target.wants/e2scrub_all.timer", "/usr/lib/systemd/system/e2scrub_all.timer")
    return slot


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    kernel, driver, overlay = (tmp_path / name for name in ("kernel", "driver", "overlay"))
    modules = kernel / "modules/lib/modules/6.12.1-capture"
    modules.mkdir(parents=True)
    (modules / "modules.order").touch()
    (modules / "build").symlink_to("/home/somebody/linux")
    for folder in (driver, overlay):
        folder.mkdir()
    (kernel / "release").write_text("6.12.1-capture\n")
    for path in (kernel / "zImage", kernel / "board.dtb", driver / "capture-ring.ko", tmp_path / "ca.pem"):
        path.write_text(path.name)
    for name in ("overlay.dtbo", "fabric.rbf"):
        (overlay / name).write_text(name)

    def depmod(command: Sequence[str | Path]) -> str:
        assert (Path(command[2]) / "lib/modules/6.12.1-capture/updates/capture-ring.ko").is_file()
        (Path(command[2]) / "lib/modules/6.12.1-capture/modules.dep").touch()
        return ""

    monkeypatch.setattr(tool, "need", lambda program, package: program)
    monkeypatch.setattr(tool, "capture", depmod)
    return Parts(kernel, driver, overlay, tmp_path / "ca.pem")


def install(parts: Parts, tmp_path: Path, recipes: list[Recipe] | None = None) -> Tree:
    slot = make_base()
    chosen = [r for r in recipe.load_all() if r.name == "base-system"] if recipes is None else recipes
    payload.install(slot, board.load("sockit"), chosen, parts, "1.2", tmp_path / "scratch")
    return slot


def made(**facts: object) -> Recipe:
    basics = {"name": "base-system", "summary": "x", "version": "1", "licence": "MIT", "kind": "files"}
    return Recipe.model_validate({**basics, **facts})


def test_missing_file_of_a_recipe_is_named(parts: Parts, tmp_path: Path) -> None:
    broken = made(files=[{"from": "none.conf", "to": "/etc/none.conf"}])
    with pytest.raises(UserError, match=r"recipe 'base-system': 'none\.conf' is not in its folder"):
        install(parts, tmp_path, [broken])


def test_missing_template_is_named(parts: Parts, tmp_path: Path) -> None:
    broken = made(rendered=[{"template": "none.j2", "to": "/etc/none.conf"}])
    with pytest.raises(UserError, match=r"no template templates/none\.j2"):
        install(parts, tmp_path, [broken])


def test_unit_that_no_package_has_is_named(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'none\.service' is enabled by a recipe"):
        install(parts, tmp_path, [made(enable=["none.service"])])


def test_slot_that_is_too_large_names_the_largest_files(tmp_path: Path) -> None:
    slot = Tree(1)
    with (tmp_path / "big").open("wb") as stream:
        stream.truncate(layout.SLOT_BYTES)
    slot.file("/big", tmp_path / "big")
    with pytest.raises(UserError, match=r"valid: at most 536870912\); largest files: /big \(524288 KiB\)"):
        rootfs.write(slot, tmp_path / "x", "seed", tmp_path)


def test_no_secret_no_trace_of_the_build_is_left(parts: Parts, tmp_path: Path) -> None:
    slot = install(parts, tmp_path)
    for path in ("/etc/ssh/ssh_host_rsa_key", "/var/log", "/root/.bashrc", "/boot/old"):
        assert path not in slot
    assert slot.text("/etc/machine-id") == ""
    assert slot.text("/etc/shadow").startswith("root:*:")
    assert "/usr/lib/modules/6.12.1-capture/build" not in slot
    assert not [path for path in slot.below("/etc/systemd/system") if "e2scrub" in path]


def test_interfaces_are_kept(parts: Parts, tmp_path: Path) -> None:
    slot = install(parts, tmp_path)
    for path in ("zImage", "board.dtb", "overlay.dtbo", "fabric.rbf"):
        assert slot.text(f"/boot/{path}") == path
    assert "/usr/lib/modules/6.12.1-capture/updates/capture-ring.ko" in slot
    assert "/usr/lib/modules/6.12.1-capture/modules.dep" in slot
    assert slot.text("/etc/rauc/keyring.pem") == "ca.pem"
    assert "compatible=cyclone-capture-sockit\n" in slot.text("/etc/rauc/system.conf")
    assert "/dev/mmcblk0 0x810000 0x10000\n" in slot.text("/etc/fw_env.config")
    assert json.loads(slot.text("/usr/share/cyclone-capture/release.json")) == {
        "board": "sockit",
        "version": "1.2",
        "engine": "debian",
        "kernel": "6.12.1-capture",
        "fabric_id": board.load("sockit").fabric.id,
    }
    assert slot["/etc/sudoers.d/operator"].mode == 0o440
    assert '<deny send_destination="de.pengutronix.rauc"/>' in slot.text("/etc/dbus-1/system-local.conf")
    assert slot["/etc/systemd/system/multi-user.target.wants/ssh.service"].target == "/etc/systemd/system/ssh.service"
    assert slot["/etc/systemd/system/systemd-sysusers.service"].target == "/dev/null"


def run_identity(home: Path) -> None:
    script = paths.ROOT / "recipes/base-system/files/identity"
    subprocess.run(["/bin/sh", str(script), str(home)], check=True, capture_output=True)


@pytest.mark.skipif(not Path("/usr/bin/ssh-keygen").exists(), reason="no ssh-keygen on this host")
@pytest.mark.skipif(not Path("/etc/machine-id").exists(), reason="this host has no machine id to make one of")
def test_identity_makes_what_is_missing_and_changes_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "identity"
    run_identity(home)
    facts = dict(line.split("=", 1) for line in (home / "identity.env").read_text().splitlines())
    assert {"hostname", "machine_id", "ethaddr"} >= set(facts) >= {"hostname", "machine_id"}
    key = home / "ssh/ssh_host_ed25519_key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert key.with_suffix(".pub") in before
    run_identity(home)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
