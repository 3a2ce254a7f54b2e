# SPDX-License-Identifier: MIT
"""Who may ask RAUC for something over D-Bus: real RAUC as a service behind a real dbus-daemon with our policies.

The bus is set up as the system bus is: a call that no policy allows is refused, RAUC's own policy is read, and ours
behind it. Two users are needed, so this needs root; without it, or without the programs, it is skipped.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import keys, paths

pytestmark = pytest.mark.unit
NEEDED = ("rauc", "dbus-daemon", "gdbus", "setpriv")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
OURS = paths.ROOT / "recipes/base-system/files/dbus.conf"
HAWKBIT = paths.ROOT / "recipes/hawkbit-client/dbus.conf"
# what RAUC brings (rauc 1.8 to 1.15, data/de.pengutronix.rauc.conf)
RAUC = """<busconfig>
<policy context="default"><allow send_destination="de.pengutronix.rauc"/></policy>
<policy user="root"><allow own="de.pengutronix.rauc"/></policy>
</busconfig>
"""
BUS = """<busconfig>
<type>system</type><auth>EXTERNAL</auth><listen>unix:path={here}/bus</listen>
<policy context="default">
<allow user="*"/><deny own="*"/><deny send_type="method_call"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow send_type="signal"/><allow receive_type="signal"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow send_destination="org.freedesktop.DBus"/>
</policy>
{includes}
</busconfig>
"""
SYSTEM = """[system]
compatible=x1
bootloader=noop
mountprefix={here}/mount
statusfile={here}/status
[keyring]
path={authority}
[slot.rootfs.0]
device={here}/a.img
type=raw
bootname=A
[slot.rootfs.1]
device={here}/b.img
type=raw
bootname=B
"""
STATUS = ("de.pengutronix.rauc.Installer.GetSlotStatus",)
ACTIVATE = ("de.pengutronix.rauc.Installer.Mark", "active", "other")
INSTALL = ("de.pengutronix.rauc.Installer.InstallBundle", "/none.raucb", "{}")
NOBODY = "nobody"

Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ask]]:
    """Starts RAUC behind a bus with the policies given; what asks it, as a user."""
    if MISSING or os.geteuid() != 0:
        pytest.skip(f"needs root, {', '.join(NEEDED)}")
    here = tmp_path_factory.mktemp("bus")
    for folder in (here, *here.parents):  # another user, too, gets at the bus; no further than to what he can name
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o011)
    running: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={here}/bus", "DBUS_STARTER_BUS_TYPE": "system"}

    def wanted(*policies: Path) -> Ask:
        (here / "keys").mkdir()
        (here / "rauc.conf").write_text(RAUC)
        for name in ("a.img", "b.img"):
            (here / name).write_bytes(bytes(8192))
        includes = "".join(f"<include>{path}</include>" for path in (here / "rauc.conf", *policies))
        (here / "bus.conf").write_text(BUS.format(here=here, includes=includes))
        authority = keys.make(here / "keys").authority
        (here / "system.conf").write_text(SYSTEM.format(here=here, authority=authority))
        bus = ["dbus-daemon", f"--config-file={here}/bus.conf", "--nofork", "--print-address"]
        running.append(subprocess.Popen(bus, stdout=subprocess.PIPE))
        assert running[0].stdout is not None
        assert running[0].stdout.readline(), "no bus"
        service = ["rauc", f"--conf={here}/system.conf", "--override-boot-slot=A", "service"]
        with (here / "log").open("wb") as log:
            running.append(subprocess.Popen(service, env=environment, stdout=log, stderr=log))
        wait = ["gdbus", "wait", "--system", "--timeout=20", "de.pengutronix.rauc"]
        subprocess.run(wait, env=environment, check=True, timeout=60)
        return ask

    def ask(user: str, method: str, *words: str) -> subprocess.CompletedProcess[str]:
        identity = pwd.getpwnam(user)
        argv = ["setpriv", f"--reuid={identity.pw_uid}", f"--regid={identity.pw_gid}", "--clear-groups"]
        argv += ["gdbus", "call", "--system", "--dest=de.pengutronix.rauc", "--object-path=/", f"--method={method}"]
        done = subprocess.run([*argv, *words], env=environment, check=False, capture_output=True, text=True, timeout=60)
        return done

    yield wanted
    for process in reversed(running):
        process.terminate()
        process.wait(30)
        if process.stdout:
            process.stdout.close()


@pytest.mark.parametrize("method", [STATUS, ACTIVATE, INSTALL])
def test_nobody_but_root_is_let_through_to_rauc(start: Callable[..., Ask], method: tuple[str, ...]) -> None:
    done = start(OURS)(NOBODY, *method)
    assert done.returncode != 0, done.stdout
    assert "AccessDenied" in done.stderr


def test_root_is_let_through(start: Callable[..., Ask]) -> None:
    done = start(OURS)("root", *STATUS)
    assert done.returncode == 0, done.stderr
    assert "'bootname': <'B'>" in done.stdout


def test_raucs_own_policy_alone_would_let_anybody_through(start: Callable[..., Ask]) -> None:
    """Why ours is there; and that these tests reach RAUC at all."""
    done = start()(NOBODY, *STATUS)
    assert done.returncode == 0, done.stderr


def test_hawkbits_client_is_let_through_on_the_boards_that_have_it(start: Callable[..., Ask], tmp_path: Path) -> None:
    policy = tmp_path / "hawkbit.conf"
    assert 'user="rauc-hawkbit"' in HAWKBIT.read_text(encoding="utf-8")
    policy.write_text(HAWKBIT.read_text(encoding="utf-8").replace('"rauc-hawkbit"', f'"{NOBODY}"'))
    ask = start(policy, OURS)  # in this order on the board, too: ours is read last
    assert ask(NOBODY, *STATUS).returncode == 0
    assert "AccessDenied" in ask("daemon", *STATUS).stderr
