# SPDX-License-Identifier: MIT
"""The base: hosts that run no armhf programs, mirrors out of step and wrong suites are refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from firmware import base, recipe, sources, tool, tree
from firmware.errors import ToolError, UserError

pytestmark = pytest.mark.unit

LISTING = "deb [arch=armhf] http://mirror/debian trixie main\ndeb http://mirror/debian trixie-updates main\n"
STATUS = """\
Package: b
Status: install ok installed
Version: 2:1-1
Source: src (1-0)
Description: two
 lines

Package: gone
Status: deinstall ok config-files
Version: 1

Package: a
Status: install ok installed
Version: 3
"""


def test_host_that_runs_no_armhf_programs_is_refused_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"qemu-arm is not registered .valid: run sudo sh -c 'mount"):
        base.require_binfmt(tmp_path)


def test_registered_interpreter_is_enough(tmp_path: Path) -> None:
    (tmp_path / "qemu-arm").touch()
    base.require_binfmt(tmp_path)


def test_unknown_suite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLONE_CAPTURE_SUITE", "potato")
    with pytest.raises(UserError, match=r"'potato' is not used here .valid: bookworm, trixie"):
        base.archive()


def test_sources_list_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLONE_CAPTURE_SOURCES", "/none/such.list")
    monkeypatch.setattr(sources, "sources_list", lambda suite, architecture: LISTING)
    with pytest.raises(UserError, match=r"/none/such\.list: no such file"):
        base.archive()


@pytest.mark.parametrize("said", ["VERSION_CODENAME=forky\n", "ID=debian\n"])
def test_archive_that_gives_another_suite_is_refused(said: str) -> None:
    system = tree.Tree(1)
    system.file("/usr/lib/os-release", said)
    with pytest.raises(ToolError, match="not trixie"):
        base.require_suite(system, "trixie")


class FakeMmdebstrap:
    """Stands in for `tool.run`: fails with `log` while the sources list holds `broken`."""

    def __init__(self, broken: str, log: str) -> None:
        """Remember what to do."""
        self.broken, self.log, self.listings = broken, log, list[str]()

    def __call__(self, command: Sequence[str], log: Path, environment: Mapping[str, str], hint: str) -> None:
        """Act as mmdebstrap."""
        self.listings.append(Path(command[-1]).read_text())
        log.write_text(self.log)
        if self.broken in self.listings[-1]:
            raise ToolError(command, 1, self.log, hint)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FakeMmdebstrap:
    fake = FakeMmdebstrap(*request.param)
    monkeypatch.setattr(tool, "run", fake)
    monkeypatch.setattr(tool, "need", lambda program, package: program)
    monkeypatch.setattr(sources, "host_settings", lambda: "")
    return fake


ORIGIN = base.Archive("trixie", LISTING, 1)


@pytest.mark.parametrize("run", [("deb", "File has unexpected size (1 != 2). Mirror sync in progress?")], indirect=True)
def test_mirror_out_of_step_under_both_names_says_so(run: FakeMmdebstrap, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the mirror is being synchronised"):
        base.bootstrap(ORIGIN, ["x"], tmp_path)
    assert len(run.listings) == 2


@pytest.mark.parametrize("run", [("deb", "Unable to locate package x")], indirect=True)
def test_other_failures_are_not_tried_again(run: FakeMmdebstrap, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="Unable to locate package x"):
        base.bootstrap(ORIGIN, ["x"], tmp_path)
    assert run.listings == [LISTING]


@pytest.mark.parametrize("run", [("trixie", "Hash Sum mismatch")], indirect=True)
def test_suite_out_of_step_is_taken_under_its_other_name(run: FakeMmdebstrap, tmp_path: Path) -> None:
    assert base.bootstrap(ORIGIN, ["x"], tmp_path) == tmp_path / "base.tar"
    assert run.listings[1] == LISTING.replace("trixie", "stable")


def test_only_the_suite_is_renamed() -> None:
    line = "deb http://trixie.example/trixie-mirror trixie-security main\n"
    assert base.under_alias(line, "trixie") == "deb http://trixie.example/trixie-mirror stable-security main\n"


def test_installed_packages_are_listed_with_their_sources() -> None:
    assert base.installed(STATUS) == [
        {"name": "a", "version": "3", "source": "a", "source_version": "3"},
        {"name": "b", "version": "2:1-1", "source": "src", "source_version": "1-0"},
    ]


def test_every_recipe_has_its_packages_in_the_base() -> None:
    wanted = base.packages(recipe.load_all())
    assert {"systemd", "openssh-server", "rauc", "python3"} <= set(wanted)
    assert wanted == sorted(set(wanted))


def test_base_has_no_host_keys_and_its_hash_does_not_depend_on_them(tmp_path: Path) -> None:
    hashes = []
    for key in ("one", "two"):
        place = tmp_path / key
        place.mkdir()
        with tarfile.open(place / "base.tar", "w") as tar:
            contents = {
                "./usr/lib/os-release": "VERSION_CODENAME=trixie\n",
                "./var/lib/dpkg/status": STATUS,
                "./etc/ssh/ssh_host_ed25519_key": key,
                "./etc/ssh/sshd_config": "",
            }
            for name, text in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        base.unpack(place / "base.tar", place, 1, "trixie")
        assert tree.load(place / "tree.json").below("/etc/ssh") == ["/etc/ssh/sshd_config"]
        assert not (place / "base.tar").exists()
        hashes.append((place / "sha256").read_text())
    assert hashes[0] == hashes[1]
