# SPDX-License-Identifier: MIT
"""What a board refuses beyond signatures: older versions, and an upgrade for which it is not ready; then the rest."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware import inspection, paths

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import admission, cli, preflight, version
from field_update.preflight import Offer, Places
from field_update.state import INSTALLED, State, Trial
from field_update.system import Failure, System, slot_device

pytestmark = pytest.mark.unit
ORDER = ["0.9.9", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.1", "1.0.0", "1.0.10"]
NOW, EPOCH = 1_800_000_000.0, 1_700_000_000.0


@pytest.mark.parametrize("text", ["", "1", "1.0", "v1.0.0", "1.0.0 ", "1.0.0-", "1.0.0+", "1.0.x", "1.0.0\n2"])
def test_text_that_is_no_version(text: str) -> None:
    for pair in ((text, "1.0.0"), ("1.0.0", text)):
        with pytest.raises(ValueError, match=r"is no version \(valid: MAJOR\.MINOR\.PATCH"):
            version.older(*pair)


def test_order_of_versions() -> None:
    for at, one in enumerate(ORDER):
        assert [version.older(one, other) for other in ORDER] == [at < place for place in range(len(ORDER))]


def test_what_a_slot_is_made_of_makes_it_neither_older_nor_newer() -> None:
    assert not version.older("1.0.0+aaa", "1.0.0+bbb")
    assert not version.older("1.0.0+bbb", "1.0.0+aaa")


class Mounted:
    """A bundle as RAUC mounts it, on a board that runs 1.2.0."""

    def __init__(self, folder: Path) -> None:
        """Version 1.1.9 is in the bundle."""
        self.bundle, self.refused, self.release = folder / "bundle", folder / "run" / "refused", folder / "release"
        self.bundle.mkdir()
        self.release.write_text('{"version": "1.2.0"}')
        self.offer("1.1.9")

    def offer(self, number: str) -> None:
        """Put version `number` into the bundle."""
        (self.bundle / admission.MANIFEST).write_text(f"[update]\ncompatible=x\nversion={number}\n")

    @property
    def refusal(self) -> str:
        """What the board says to it."""
        return admission.refusal(self.bundle, self.release)


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path)


def test_older_version_is_refused(mounted: Mounted) -> None:
    assert mounted.refusal.startswith("version 1.1.9 is older than 1.2.0, which runs (valid: a newer one, or a bundle")


@pytest.mark.parametrize(
    "content", [None, "", "x", "[update]\n", "[update]\nversion=new\n", "[a]\n" + "x=y\n" * 20_000]
)
def test_version_that_cannot_be_compared_is_refused(mounted: Mounted, content: str | None) -> None:
    manifest = mounted.bundle / admission.MANIFEST
    manifest.unlink()
    if content is not None:
        manifest.write_text(content)
    assert mounted.refusal.startswith("its version cannot be compared with the running one: ")


def test_board_that_does_not_know_what_it_runs_refuses(mounted: Mounted) -> None:
    mounted.offer("9.0.0")
    mounted.release.write_text("[]")
    assert "cannot be compared" in mounted.refusal


def test_handler_leaves_the_reason_where_the_installer_finds_it(mounted: Mounted) -> None:
    assert admission.main({"RAUC_BUNDLE_MOUNT_POINT": str(mounted.bundle)}, mounted.refused) == 1
    assert "cannot be compared" in mounted.refused.read_text()  # this computer has no release file
    assert admission.main({}, mounted.refused) == 1
    assert mounted.refused.read_text() == "RAUC does not say where the bundle is\n"


@pytest.mark.parametrize("number", ["1.2.0", "1.2.0+other", "1.2.1-rc.1", "2.0.0"])
def test_version_that_is_not_older_is_taken(mounted: Mounted, number: str) -> None:
    mounted.offer(number)
    assert mounted.refusal == ""


def test_signed_permission_lets_an_older_one_in(mounted: Mounted) -> None:
    assert admission.DOWNGRADE == inspection.DOWNGRADE
    (mounted.bundle / admission.DOWNGRADE).touch()
    assert mounted.refusal == ""
    assert admission.main({"RAUC_UPDATE_SOURCE": str(mounted.bundle)}, mounted.refused) == 0
    assert not mounted.refused.exists()


class _Ready(System):
    """A board whose slot B, of 4 MiB, is free."""

    def booted(self) -> str:
        return "A"

    def other(self, booted: str) -> str:
        return "B"

    def device(self, name: str) -> str:
        return "/dev/mmcblk0p3"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(*(tmp_path / name for name in Places._fields))
    for folder in (made.data, made.power / "battery", made.sensors / "hwmon0", made.blocks / "mmcblk0p3"):
        folder.mkdir(parents=True)
    made.release.write_text('{"version": "1.2.0"}')
    made.epoch.touch()
    os.utime(made.epoch, (EPOCH, EPOCH))
    (made.blocks / "mmcblk0p3" / "size").write_text("8192\n")
    return made


def look(places: Places, offer: Offer = Offer("1.2.1", 4 << 20), state: State = State(), now: float = NOW) -> str:  # noqa: B008
    return "\n".join(preflight.refusals(_Ready(), state, offer, now, places))


def test_slot_on_trial(places: Places) -> None:
    assert "slot A is on trial" in look(places, state=State(Trial("A", "1", 600, INSTALLED)))


def test_content_that_is_too_large(places: Places) -> None:
    assert look(places, Offer("1.2.1", (4 << 20) + 1)) == (
        "the slot's content has 4194305 bytes, /dev/mmcblk0p3 has 4194304 (valid: content that fits)"
    )


def test_slot_that_is_not_there(places: Places) -> None:
    (places.blocks / "mmcblk0p3" / "size").unlink()
    assert "the size of the other slot is not known" in look(places)


def test_older_version_unless_it_is_allowed(places: Places) -> None:
    assert "version 1.1.0 is older than 1.2.0" in look(places, Offer("1.1.0"))
    assert "cannot be compared" in look(places, Offer("new"))
    assert look(places, Offer("1.1.0", downgrade=True)) == ""


@pytest.mark.parametrize(
    ("flag", "free", "said"), [(os.ST_RDONLY, 9999, "is read-only"), (0, 255, "1044480 bytes free .valid: at least")]
)
def test_data_partition(places: Places, monkeypatch: pytest.MonkeyPatch, flag: int, free: int, said: str) -> None:
    facts = SimpleNamespace(f_flag=flag, f_bavail=free, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _path: facts)
    assert re.search(said, look(places))


def test_data_partition_that_is_not_there(places: Places) -> None:
    places.data.rmdir()
    assert "No such file" in look(places)


def test_clock_at_1970(places: Places) -> None:
    said = look(places, now=100.0)
    assert said.startswith("the clock says 1970-01-01: no signature is valid then (valid: 2023-11-14 or later")


@pytest.mark.parametrize(
    ("level", "state", "refused"),
    [("29", "Discharging", True), ("29", "Charging", False), ("30", "Discharging", False), ("", "Discharging", False)],
)
def test_battery(places: Places, level: str, state: str, refused: bool) -> None:
    (places.power / "battery" / "capacity").write_text(level)
    (places.power / "battery" / "status").write_text(f"{state}\n")
    assert ("battery is at 29 % and discharging" in look(places)) == refused


def test_voltage_that_is_too_low(places: Places) -> None:
    (places.sensors / "hwmon0" / "in0_lcrit_alarm").write_text("1\n")
    assert "hwmon0 reports a supply voltage that is too low" in look(places)


def test_all_reasons_are_said_at_once(places: Places) -> None:
    assert len(look(places, Offer("1.1.0", 5 << 20), now=0.0).splitlines()) == 3


def test_board_that_is_ready(places: Places) -> None:
    assert look(places) == ""


@pytest.mark.parametrize(
    "text", ["", "{}", '{"slots": []}', '{"slots": [{"a": {"bootname": "A", "device": "/dev/x"}}]}']
)
def test_slot_that_rauc_does_not_know(text: str) -> None:
    with pytest.raises(Failure, match=r"rauc (status says nothing|knows 0 slots B)"):
        slot_device(text, "B")


def test_device_of_a_slot() -> None:
    status = {"slots": [{"a": {"bootname": "A", "device": "/dev/x"}}, {"b": {"bootname": "B", "device": "/dev/y"}}]}
    assert slot_device(json.dumps(status), "B") == "/dev/y"


def test_preflight_of_what_is_no_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["preflight", "--json", "--version", "1.0.0", "--bytes", "4096", "--allow-downgrade"]) == 0
    assert any("names no slot" in reason for reason in json.loads(capsys.readouterr().out)["refusals"])
    assert cli.main(["preflight"]) == 1
    assert "names no slot" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["preflight", "--bytes", "x"], ["rollback", "--deadline", "0"], ["rollback", "A"]]
)
def test_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
