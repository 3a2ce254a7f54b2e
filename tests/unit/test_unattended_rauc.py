# SPDX-License-Identifier: MIT
"""The handlers that make a trial of an upgrade by another program, under real RAUC as a service on a bus of its own.

RAUC mounts what it installs, so this needs root, a loop device and squashfs; without them it is skipped. The bundles
are of the plain format, which no board takes: hosts of tests have no dm-verity.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from firmware import keys, paths, tool
from tests.unit import fake_hawkbit
from tests.unit.fake_hawkbit import FakeHawkbit

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))
sys.path.insert(0, str(paths.ROOT / "recipes" / "hawkbit-client"))

from field_update import unattended
from field_update.state import INSTALLED, State, Store, Trial
from hawkbit_client import configuration
from hawkbit_client.configuration import Settings

pytestmark = pytest.mark.unit
NEEDED = ("rauc", "dbus-run-session", "mksquashfs", "gdbus")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
HANDLER = """#!{python} -I
import sys
from pathlib import Path
sys.path.insert(0, "{package}")
from field_update import admission, preflight, unattended
here = Path("{here}")
ready = preflight.Places(data=here, power=here / "none", sensors=here / "none")
places = unattended.Places(
    here / "permission", here / "data", here / "run", here / "cmdline", here / "system.conf", ready
)
sys.exit({call})
"""
BEGIN = "admission.main(refused=here / 'refused', also=lambda said, bundle: unattended.begin(said, bundle, places))"
END = "unattended.main(places, lambda *argv, **options: (here / 'rebooted').touch())"
SYSTEM = """[system]
compatible=x1
bootloader=noop
mountprefix={here}/mount
statusfile={here}/status
bundle-formats=plain
[keyring]
path={authority}
[handlers]
pre-install={here}/pre-install
post-install={here}/post-install
[slot.rootfs.0]
device={here}/a.img
type=raw
bootname=A
[slot.rootfs.1]
device={here}/b.img
type=raw
bootname=B
"""
SCRIPT = """
export DBUS_STARTER_BUS_TYPE=session
rauc --conf={here}/system.conf --override-boot-slot=A service >{here}/log 2>&1 &
service=$!
gdbus wait --session --timeout 30 de.pengutronix.rauc && {command}
status=$?
kill $service
exit $status
"""


def can_mount() -> bool:
    """Whether RAUC can mount a bundle here."""
    known = "squashfs" in Path("/proc/filesystems").read_text(encoding="ascii")
    return os.geteuid() == 0 and known and Path("/dev/loop-control").exists()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A board of files that runs slot A, judged and sound."""
    if MISSING or not can_mount():
        pytest.skip(f"RAUC cannot install here: needs root, loop devices, squashfs, {', '.join(NEEDED)}")
    for name in ("data", "run", "mount", "keys", "content"):
        (tmp_path / name).mkdir()
    (tmp_path / "permission").touch()
    (tmp_path / "cmdline").write_text("rauc.slot=A\n")
    (tmp_path / "run" / "boot.json").write_text('{"environment": {"wrong": [], "noted": []}}')
    for name in ("a.img", "b.img"):
        (tmp_path / name).write_bytes(bytes(8192))
    package = paths.ROOT / "recipes" / "field-update"
    for name, call in (("pre-install", BEGIN), ("post-install", END)):
        text = HANDLER.format(python=sys.executable, package=package, here=tmp_path, call=call)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    made = keys.make(tmp_path / "keys")
    (tmp_path / "system.conf").write_text(SYSTEM.format(here=tmp_path, authority=made.authority))
    return tmp_path


def bundle(here: Path, compatible: str = "x1") -> Path:
    """A bundle of version 2.0.0."""
    text = f"[update]\ncompatible={compatible}\nversion=2.0.0\n[bundle]\nformat=plain\n"
    text += "[image.rootfs]\nfilename=rootfs.img\n"
    (here / "content" / "manifest.raucm").write_text(text)
    (here / "content" / "rootfs.img").write_bytes(b"new!" * 1024)
    (here / "content" / "allow-downgrade").touch()  # this computer is no board with a version of its own
    signed = [f"--cert={here / 'keys' / 'signer.pem'}", f"--key={here / 'keys' / 'signer.key'}"]
    argv = [tool.need("rauc", "rauc"), "bundle", *signed, str(here / "content"), str(here / "x.raucb")]
    subprocess.run(argv, check=True, capture_output=True)
    return here / "x.raucb"


def run(here: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has RAUC install something into slot B."""
    argv = ["dbus-run-session", "--", "sh", "-c", SCRIPT.format(here=here, command=command)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def install(here: Path, compatible: str = "x1") -> subprocess.CompletedProcess[str]:
    """RAUC's own client installs the bundle."""
    return run(here, f"rauc install {bundle(here, compatible)}")


def test_a_board_that_is_trying_something_refuses(here: Path) -> None:
    before = State(Trial("A", "1.0.0", 60, INSTALLED))
    Store(here / "data").save(before)
    done = install(here)
    assert done.returncode != 0
    assert "slot A is on trial" in (here / "refused").read_text()
    assert (here / "b.img").read_bytes() == bytes(8192)
    assert Store(here / "data").load()[0] == before
    assert not (here / "rebooted").exists()


def test_another_board_s_bundle_leaves_no_trial(here: Path) -> None:
    assert install(here, "y1").returncode != 0
    assert "it is for y1 (valid: x1)" in (here / "refused").read_text()
    assert Store(here / "data").load()[0] == State()


def test_an_installation_is_a_trial(here: Path) -> None:
    done = install(here)
    assert done.returncode == 0, done.stdout + done.stderr + (here / "log").read_text()
    assert (here / "b.img").read_bytes().startswith(b"new!")
    assert Store(here / "data").load()[0].trial == Trial("B", "2.0.0", unattended.DEADLINE_SECONDS, INSTALLED)
    assert (here / "rebooted").exists()


@pytest.mark.skipif(shutil.which("rauc-hawkbit-updater") is None, reason="no rauc-hawkbit-updater on this host")
def test_what_hawkbit_s_client_installs_is_a_trial(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    fake, settings = FakeHawkbit(), Settings("x1", "", "DEFAULT", "target", False)
    fake.board, fake.assigned = "TargetToken for-the-test", bundle(here)
    with fake_hawkbit.serve(fake, *fake_hawkbit.certificate(tmp_path_factory.mktemp("server"))):
        text = configuration.text(settings._replace(server=fake.host), "x1-0", "for-the-test", {"board": "x1"})
        text = text.replace("ssl_verify=true", "ssl_verify=false").replace(configuration.DOWNLOAD, f"{here}/got.raucb")
        (here / "config.conf").write_text(text)
        done = run(here, f"rauc-hawkbit-updater --run-once --config-file={here}/config.conf")
    said = [each.body["status"] for each in fake.exchanges if each.path.endswith("/deploymentBase/1/feedback")]
    assert said, done.stdout + done.stderr
    assert (said[-1]["execution"], said[-1]["result"]["finished"]) == ("closed", "success"), said
    assert (here / "b.img").read_bytes().startswith(b"new!")
    trial = Store(here / "data").load()[0].trial
    assert trial == Trial("B", "2.0.0", unattended.DEADLINE_SECONDS, INSTALLED)
    assert (here / "rebooted").exists()
