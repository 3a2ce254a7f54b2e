# SPDX-License-Identifier: MIT
"""The board's side of hawkBit: tokens and identities that are not valid first; then configuration, and the verdict."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware import board, paths, recipe, render, rendering
from firmware.board import Board, Hawkbit
from firmware.errors import UserError
from tests.unit import fake_hawkbit
from tests.unit.fake_hawkbit import FakeHawkbit

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))
sys.path.insert(0, str(paths.ROOT / "recipes" / "hawkbit-client"))

from field_update.unattended import Mark
from hawkbit_client import cli, configuration, verdict
from hawkbit_client.cli import Places
from hawkbit_client.configuration import Settings, Unusable

pytestmark = pytest.mark.unit
MACHINE_ID = "0123456789abcdef0123456789abcdef"
SECRET = "".join(("bhVahL1I", "l1shie2\\aj"))
FOUND = Settings("x1", "hawkbit.example.org:8443", "DEFAULT", "target", False)


def with_hawkbit(**keys: Any) -> Board:
    """The default board with a server."""
    found = board.load(board.DEFAULT_BOARD)
    return found.model_copy(update={"hawkbit": Hawkbit(**{"server": "hawkbit.example.org", **keys})})


def test_without_the_key_nothing_of_it_is_in_an_image() -> None:
    found = board.load(board.DEFAULT_BOARD)
    assert "hawkbit-client" not in [one.name for one in recipe.for_board(found)]
    texts = rendering.render_all(found)
    assert json.loads(texts.pop("yocto/provenance/board.json"))["hawkbit"] is None
    assert [name for name, text in texts.items() if "hawkbit" in (name + text).lower()] == []


def test_debian_packages_no_client() -> None:
    with pytest.raises(
        UserError, match=r"'hawkbit-client': engine debian does not package .*valid: --engine=yocto; or"
    ):
        recipe.for_board(with_hawkbit(), "debian")
    with pytest.raises(UserError, match="engine debian does not package"):
        rendering.render_all(with_hawkbit(), "debian")


def test_image_with_the_client() -> None:
    texts = rendering.render_all(with_hawkbit(address="192.0.2.7", stream=True), "yocto")
    assert "    hawkbit-client \\\n" in texts["yocto/meta-board/recipes-capture/images/capture-image.bb"]
    made = texts["yocto/meta-board/recipes-capture/hawkbit-client/hawkbit-client_1.0.bb"]
    assert 'SYSTEMD_SERVICE:${PN} = "hawkbit-client.service"' in made
    assert "/dbus.conf ${D}${sysconfdir}/dbus-1/system.d/hawkbit-client.conf\n" in made
    assert re.search(r"RDEPENDS:\$\{PN\} \+= .*rauc-hawkbit-updater", made)
    settings = json.loads(texts["recipes/hawkbit-client/usr/share/cyclone-capture/hawkbit.json"])
    assert Settings(**settings) == Settings("de0-nano-soc", "hawkbit.example.org", "DEFAULT", "target", True)
    assert "post-install=/usr/lib/field-update/post-install\n" in texts["recipes/base-system/etc/rauc/system.conf"]
    assert texts["recipes/base-system/etc/hosts"].endswith("\n192.0.2.7 hawkbit.example.org\n")
    assert "hawkbit" not in render.text("base/hosts.j2", with_hawkbit())


@pytest.mark.parametrize("machine_id", ["", "uninitialized", MACHINE_ID[1:], MACHINE_ID.upper()])
def test_no_machine_id_no_name(machine_id: str) -> None:
    with pytest.raises(Unusable, match="valid: 32 hexadecimal digits"):
        configuration.target_name("x1", machine_id)


def test_name_does_not_tell_the_machine_id() -> None:
    name = configuration.target_name("x1", MACHINE_ID)
    assert re.fullmatch(r"x1-[0-9a-f]{16}", name)
    assert name == configuration.target_name("x1", MACHINE_ID)
    assert name != configuration.target_name("x1", MACHINE_ID[::-1])
    assert MACHINE_ID[:8] not in name


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o600, "No such file or directory"),
        (SECRET, 0o640, "others may read it (valid: hawkBit's token alone in it, chmod 600"),
        (SECRET, 0o604, "others may read it"),
        ("", 0o600, "0 characters"),
        ("short", 0o600, "5 characters"),
        (f"{SECRET}\n{SECRET}", 0o600, "a blank among them"),
        (f"{SECRET}ü", 0o600, "no ASCII text"),
    ],
)
def test_wrong_token(tmp_path: Path, content: str | None, mode: int, said: str) -> None:
    file = tmp_path.parent / "hawkbit.token"  # pytest names tmp_path by the parameters
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_text(content, encoding="utf-8")
        file.chmod(mode)
    with pytest.raises(Unusable, match=re.escape(said)) as error:
        configuration.token(file)
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None or SECRET not in str(error.value.__cause__)


def test_settings_that_are_not_the_images(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"server": "x"}')
    with pytest.raises(Unusable, match="missing 4 required"):
        configuration.settings(tmp_path / "x")


def test_attributes_fit_the_server() -> None:
    status = {"booted": "B", "last": {"event": "reverted", "version": "2.0", "reason": "health:\n" + "x" * 500}}
    told = configuration.attributes("x1", "x1-0a1b", "1.0+f", status)
    assert told["upgrade_reason"].startswith("health: xxx")
    assert max(len(value) for value in told.values()) == 128
    assert configuration.attributes("x1", "h", "1.0", {"booted": "", "last": None})["upgrade"] == "none"
    assert configuration.attributes("x1", "h", "1.0", {"booted": ""})["slot"] == "unknown"


def test_damaged_slot_is_told() -> None:
    said = "slot A is damaged: data block 7"
    assert configuration.attributes("x1", "h", "1.0", {"booted": "A", "damage": said})["damage"] == said
    assert configuration.attributes("x1", "h", "1.0", {"booted": "A", "damage": ""})["damage"] == "none"


@pytest.mark.parametrize(("kind", "key"), [("target", "auth_token"), ("gateway", "gateway_token")])
def test_configuration(kind: str, key: str) -> None:
    text = configuration.text(FOUND._replace(token=kind), "x1-0", SECRET, {"board": "x1"})
    assert f"{key}=bhVahL1Il1shie2\\\\aj\n" in text
    assert ("auth_token=" in text, "gateway_token=" in text) == (kind == "target", kind == "gateway")
    assert "ssl=true\nssl_verify=true\n" in text
    assert "bundle_download_location=/data/hawkbit/bundle.raucb\nresume_downloads=true\n" in text
    assert "post_update_reboot=false\n" in text
    assert text.endswith("\n\n[device]\nboard=x1\n")
    streamed = configuration.text(FOUND._replace(stream=True), "x1-0", SECRET, {"board": "x1"})
    assert "stream_bundle=true" in streamed
    assert "/data" not in streamed


class Played:
    """A board that says one status after the other; `why` the server does not answer, each time it is asked."""

    def __init__(self, *statuses: dict[str, Any], mark: Mark | None = None, why: tuple[str, ...] = ("",)) -> None:
        """The last status and the last answer stay."""
        self._statuses, self._mark, self._why = list(statuses), mark, list(why)
        self.done: list[str] = []
        self.said: list[str] = []

    def status(self) -> dict[str, Any]:
        """The next one."""
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]

    def commit(self) -> None:
        """Noted."""
        self.done.append("commit")

    def mark(self) -> Mark | None:
        """As given."""
        return self._mark

    def answers(self, _found: Settings, _name: str, _secret: str) -> str:
        """The next reason."""
        self.done.append("ask")
        return self._why.pop(0) if len(self._why) > 1 else self._why[0]

    def start(self) -> None:
        """Noted."""
        self.done.append("start")

    def settle(self) -> list[str]:
        """What was done."""
        verdict.settle(self, lambda: self.answers(FOUND, "", ""), self.said.append, lambda _seconds: None)  # type: ignore[arg-type]
        return self.done


def state(health: str = "none", slot: str | None = None, booted: str = "B") -> dict[str, Any]:
    """A status; `slot` is on trial."""
    trial = {"slot": slot, "version": "2.0"} if slot else None
    return {"booted": booted, "health": health, "trial": trial, "last": None}


MARK = Mark("B", "2.0")


def test_nothing_on_trial() -> None:
    assert Played(state("pending"), state("running"), state()).settle() == []


def test_a_person_s_trial_is_left_alone() -> None:
    for mark in (None, Mark("A", "2.0"), Mark("B", "1.9")):
        played = Played(state("passed", "B"), state("passed", "B"), state(), mark=mark)
        assert played.settle() == []
        assert played.said == ["waiting: slot B is on trial by a person, who commits it or not"]


def test_a_slot_that_is_to_be_tried_yet() -> None:
    played = Played(state("none", "B", booted="A"), state(), mark=MARK)
    assert played.settle() == []
    assert played.said == ["waiting: slot B is to be tried at the next boot"]


def test_unhealthy_is_never_committed() -> None:
    assert Played(state("running", "B"), state("failed", "B"), state(booted="A"), mark=MARK).settle() == []


def test_committed_when_the_server_answers() -> None:
    why = ("the server does not answer: timed out", "the server does not answer: timed out", "")
    played = Played(state("running", "B"), *[state("passed", "B")] * 3, state(), mark=MARK, why=why)
    assert played.settle() == ["ask", "ask", "ask", "commit"]
    assert played.said == [
        "waiting: this boot is being judged",
        "waiting: the server does not answer: timed out",
        "version 2.0 in slot B is committed: healthy, and the server answers",
    ]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHawkbit]:
    authority, key = fake_hawkbit.certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with fake_hawkbit.serve(FakeHawkbit(), authority, key) as fake:
        yield fake


def test_what_counts_as_an_answer(server: FakeHawkbit, monkeypatch: pytest.MonkeyPatch) -> None:
    here, asked = FOUND._replace(server=server.host), verdict.Board()
    assert asked.answers(here, "x1-0", SECRET) == "", "it does not know the board, but it is there"
    assert server.asked("GET") == ["/DEFAULT/controller/v1/x1-0"]
    assert "refused" in asked.answers(FOUND._replace(server="127.0.0.1:1"), "x1-0", SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    assert "CERTIFICATE_VERIFY_FAILED" in asked.answers(here, "x1-0", SECRET)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The board's files; whoever runs the test plays the client's user."""
    monkeypatch.setattr(shutil, "chown", lambda *_words: None)
    for name, text in {
        "settings": json.dumps(FOUND._asdict()),
        "release": '{"version": "1.0.0"}',
        "machine_id": MACHINE_ID + "\n",
        "hostname": "x1-0123\n",
        "token": SECRET + "\n",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "token").chmod(0o600)
    return Places(
        tmp_path / "settings",
        tmp_path / "release",
        tmp_path / "machine_id",
        tmp_path / "hostname",
        tmp_path / "token",
        tmp_path / "download",
        tmp_path / "out",
    )


def test_without_a_token_no_server_is_asked(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    places.token.unlink()
    played = Played(state())
    assert cli.main(["run"], places, played) == 0  # type: ignore[arg-type]
    assert played.done == []
    assert not places.out.exists()
    assert "asks no server" in capsys.readouterr().out


def test_wrong_facts_are_told(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    places.release.write_text("{}")
    assert cli.main(["configure"], places, Played(state())) == 1  # type: ignore[arg-type]
    assert "no version in it" in capsys.readouterr().err
    assert not places.out.exists()


def test_run(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(state("passed", "B"), state(), mark=MARK)
    places.out.write_text("from the time before")
    assert cli.main(["run"], places, played) == 0  # type: ignore[arg-type]
    assert played.done == ["ask", "commit", "start"]
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    text = places.out.read_text()
    assert f"target_name={configuration.target_name('x1', MACHINE_ID)}\n" in text
    assert "version=1.0.0\nslot=B\n" in text
    assert (places.out.stat().st_mode & 0o777, places.download.stat().st_mode & 0o777) == (0o400, 0o700)


def test_name(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["name"], places) == 0
    assert capsys.readouterr().out == configuration.target_name("x1", MACHINE_ID) + "\n"


@pytest.mark.skipif(shutil.which("rauc-hawkbit-updater") is None, reason="no rauc-hawkbit-updater on this host")
@pytest.mark.parametrize(("kind", "scheme"), [("target", "TargetToken"), ("gateway", "GatewayToken")])
def test_the_client_itself_takes_it(server: FakeHawkbit, tmp_path: Path, kind: str, scheme: str) -> None:
    def run(change: tuple[str, str] = ("", "")) -> str:
        told = configuration.attributes("x1", "x1-0", "1.0", state())
        text = configuration.text(FOUND._replace(server=server.host, token=kind), "x1-0", SECRET, told)
        (tmp_path / "config.conf").write_text(text.replace(*change))
        argv = ["rauc-hawkbit-updater", "--run-once", f"--config-file={tmp_path / 'config.conf'}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout + done.stderr

    server.board = f"{scheme} {SECRET}"
    assert "maybe" in run(("ssl_verify=true", "ssl_verify=maybe"))
    assert "certificate" in run(), "it knows nothing of this server's"
    assert server.exchanges == []
    said = run(("ssl_verify=true", "ssl_verify=false"))
    assert [(each.method, each.path, each.status) for each in server.exchanges] == [
        ("GET", "/DEFAULT/controller/v1/x1-0", 200),
        ("PUT", "/DEFAULT/controller/v1/x1-0/configData", 200),
    ], said
    told = server.exchanges[1].body["data"]
    assert (told["board"], told["version"], told["upgrade"]) == ("x1", "1.0", "none")
