# SPDX-License-Identifier: MIT
"""`./inv publish` against a played hawkBit server over real TLS: all that can be refused first, then what is made."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import (
    board,
    hawkbit_access,
    hawkbit_catalogue,
    hawkbit_http,
    hawkbit_rollout,
    hawkbit_upload,
    inspection,
    publication,
    rollout,
)
from firmware.choice import Choice
from firmware.deploy import Offer
from firmware.errors import FirmwareError, TargetError, UserError
from firmware.hawkbit_rollout import Waves
from firmware.inspection import Content
from firmware.publication import Wish
from tests.unit import fake_hawkbit
from tests.unit.fake_hawkbit import FakeHawkbit, Refusal

pytestmark = pytest.mark.unit
BUNDLE = b"\r\n--bundle--\r\n" * 300_000  # some pieces of the upload
SHA256 = hashlib.sha256(BUNDLE).hexdigest()
NAME, VERSION = f"cyclone-capture-{board.DEFAULT_BOARD}", "0.1.0+3f9a41c2d07b"
WAVES = Waves("attribute.board==de0-nano-soc and name=='Hall A'", 4, 0.05)
Run = Callable[..., list[str]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return fake_hawkbit.certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHawkbit]:
    monkeypatch.setattr(hawkbit_rollout, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(hawkbit_http, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("CYCLONE_CAPTURE_HAWKBIT_USER", fake_hawkbit.USER)
    monkeypatch.setenv("CYCLONE_CAPTURE_HAWKBIT_PASSWORD", fake_hawkbit.PASSWORD)
    with fake_hawkbit.serve(FakeHawkbit(), *certificate) as fake:
        yield fake


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built bundle that inspection accepts."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    file = tmp_path / "de0-nano-soc.raucb"
    file.write_bytes(BUNDLE)
    offer = Offer(board.DEFAULT_BOARD, VERSION, file, SHA256)
    monkeypatch.setattr(rollout, "offered", lambda _choice, _downgrade: offer)
    monkeypatch.setattr(inspection, "inspect_once", lambda *_words: Content(NAME, VERSION, 4096, False))
    return file


@pytest.fixture
def publish(server: FakeHawkbit, bundle: Path, certificate: tuple[Path, Path]) -> Run:
    """Publishes; what was said."""
    assert bundle.is_file()

    def run(**options: object) -> list[str]:
        said: list[str] = []
        wish = dataclasses.replace(Wish(server.url, ca_file=str(certificate[0])), **options)  # type: ignore[arg-type]
        publication.run(Choice(), wish, said.append)
        assert fake_hawkbit.PASSWORD not in "".join(said)
        return said

    return run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"server": "http://127.0.0.1"}, "is not encrypted"),
        ({"start": True}, r"--start: nothing is rolled out \(valid: with --target-filter"),
        ({"waves": Waves("x", 0)}, r"--groups: 0 \(valid: 1 to 500"),
        ({"waves": Waves("x", 501)}, "--groups: 501"),
        ({"waves": Waves("x", 1, -0.1)}, r"--stop-share: -0\.1 \(valid: 0 to 1"),
        ({"waves": Waves("x", 1, 1.01)}, r"--stop-share: 1.01"),
        ({"ca_file": "/none.pem"}, "--ca-file: no file"),
        ({"credentials": "/none.yaml"}, "no credentials for the server: no file /none.yaml"),
    ],
)
def test_wrong_options_reach_no_server(
    publish: Run, server: FakeHawkbit, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        publish(**options)
    assert server.exchanges == []


def test_changed_bundle_reaches_no_server(publish: Run, server: FakeHawkbit, bundle: Path) -> None:
    bundle.write_bytes(b"other")
    with pytest.raises(UserError, match=r"SHA-256 is .*valid: the manifest's"):
        publish()
    bundle.unlink()
    with pytest.raises(UserError, match="no bundle"):
        publish()
    assert server.exchanges == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Content("cyclone-capture-x1", VERSION, 1, False), "is for cyclone-capture-x1"),
        (Content(NAME, "0.0.9", 1, False), "holds version 0.0.9"),
    ],
)
def test_bundle_that_deploy_refuses_reaches_no_server(
    publish: Run, server: FakeHawkbit, monkeypatch: pytest.MonkeyPatch, content: Content, message: str
) -> None:
    monkeypatch.setattr(inspection, "inspect_once", lambda *_words: content)
    with pytest.raises(UserError, match=message):
        publish()
    assert server.exchanges == []


def test_a_bundle_is_inspected_by_the_keyring_of_the_slots(publish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def inspect(_bundle: Path, keyring: str, _sha256: str) -> Content:
        asked.append(keyring)
        raise UserError("no board would take it")

    monkeypatch.setattr(inspection, "inspect_once", inspect)
    with pytest.raises(UserError, match="no board would take it"):
        publish()
    assert "BEGIN CERTIFICATE" in asked[0]


def test_unknown_certificate_sends_nothing(publish: Run, server: FakeHawkbit) -> None:
    with pytest.raises(
        TargetError, match=r"certificate is not accepted, nothing was sent: .*self-signed.*--ca-file=FILE"
    ):
        publish(ca_file=None)
    assert server.exchanges == []


def test_server_that_is_not_there(publish: Run) -> None:
    with pytest.raises(TargetError, match=r"127\.0\.0\.1:1: not reached, or the link was lost: .*refused$"):
        publish(server="https://127.0.0.1:1")


def test_wrong_password(publish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLONE_CAPTURE_HAWKBIT_PASSWORD", "wrong-one")
    with pytest.raises(UserError, match="does not accept user 'publisher', from the environment") as error:
        publish()
    assert "wrong-one" not in str(error.value)


def info(code: str) -> dict[str, str]:
    """HawkBit's answer beside an error's status."""
    return {"errorCode": fake_hawkbit.CODE + code, "message": "as hawkBit says it", "exceptionClass": "x.Y"}


QUOTA = info("quota.storageExceeded")


@pytest.mark.parametrize(
    ("refusal", "kind", "message"),
    [
        (Refusal("GET", 404, "<html>"), UserError, "is it a hawkBit server"),
        (Refusal("GET", 302, None, {"Location": "https://evil.example/"}), UserError, "sends on to https://evil"),
        (Refusal("GET", 200, "<html>login</html>"), TargetError, "no JSON: is it a hawkBit server"),
        (Refusal("GET", 200, ["x"]), TargetError, "no list of things: is it a hawkBit server"),
        (Refusal("GET", 503, "<html>down</html>"), TargetError, "status 503: Service Unavailable"),
        (Refusal("GET", 429), TargetError, "status 429"),
        (Refusal("POST .*modules$", 403, info("insufficientPermission")), UserError, "may not POST .*softwaremodules"),
        (
            Refusal("POST .*modules$", 409, info("repo.entityAlreadyExists")),
            TargetError,
            "there already, but shows none",
        ),
        (Refusal("POST .*artifacts$", 413), TargetError, "takes no file of this size"),
        (Refusal("POST .*artifacts$", 423, info("locked")), TargetError, "hawkbit.server.error.locked.*locked"),
        (Refusal("POST .*artifacts$", 429, QUOTA, times=1), TargetError, "quota.storageExceeded.*old versions deleted"),
        (Refusal("POST .*artifacts$", 400, info("artifact.uploadFailed")), TargetError, "400: .*uploadFailed"),
        (Refusal("POST .*artifacts$", 409, info("repo.entityAlreadyExists")), TargetError, "the same command again"),
        (Refusal("POST .*sets$", 400, info("bundle.ds.moduleUnsupported")), TargetError, "moduleUnsupported"),
    ],
)
def test_what_a_server_refuses(
    publish: Run, server: FakeHawkbit, refusal: Refusal, kind: type[FirmwareError], message: str
) -> None:
    server.refuse = [refusal]
    with pytest.raises(kind, match=message) as error:
        publish()
    assert server.host in str(error.value)
    assert fake_hawkbit.PASSWORD not in str(error.value)
    server.refuse = []
    assert publish()[-1].endswith("is distribution set 3"), "the same command again goes on"


def test_unknown_types(publish: Run, server: FakeHawkbit) -> None:
    with pytest.raises(UserError, match=r"--module-type: .* no type 'firmware' \(valid: os, application\)"):
        publish(module_type="firmware")
    with pytest.raises(UserError, match=r"--set-type: .* no type 'firmware' \(valid: os, os_app, app\)"):
        publish(set_type="firmware")
    assert server.asked("POST") == [], "nothing is sent before both are known"


def test_what_arrives_as_another_thing_is_taken_away(publish: Run, server: FakeHawkbit) -> None:
    server.spoils = True
    with pytest.raises(TargetError, match=rf"has got {len(BUNDLE) - 1} bytes, SHA-256 .*taken away again"):
        publish()
    assert [*server.artifacts.values()] == [[]]


def test_another_bundle_of_the_same_version(publish: Run, server: FakeHawkbit) -> None:
    publish()
    server.artifacts[1][0]["hashes"]["sha256"] = "0" * 64
    with pytest.raises(TargetError, match=rf"is there, with de0-nano-soc.raucb 0{{64}}, not .*{SHA256} \(valid: that"):
        publish()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modules": []}, r"a distribution set with modules \[\]"),
        ({"complete": False}, "an incomplete distribution set"),
        ({"valid": False}, "that was invalidated"),
        ({"type": "app"}, r"a distribution set of type 'app' \(valid: --set-type=app\)"),
    ],
)
def test_another_set_of_the_same_version(
    publish: Run, server: FakeHawkbit, change: dict[str, object], message: str
) -> None:
    publish()
    server.sets[0].update(change)
    with pytest.raises(TargetError, match=message):
        publish()


def test_another_type_of_module(publish: Run, server: FakeHawkbit) -> None:
    publish()
    server.modules[0]["type"] = "application"
    with pytest.raises(TargetError, match=r"a software module of type 'application' \(valid: --module-type=app"):
        publish()


def test_dry_run_changes_nothing(publish: Run, server: FakeHawkbit) -> None:
    assert publish(dry_run=True) == [
        f"{server.host} would get: software module {NAME} {VERSION}, de0-nano-soc.raucb (4.0 MiB), distribution set"
    ]
    assert server.asked("POST") == []
    publish()
    assert publish(dry_run=True) == [f"{server.host} has all of {VERSION} already"]


def test_publish(publish: Run, server: FakeHawkbit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hawkbit_upload, "EVERY_SECONDS", 0.0)
    said = publish()
    assert said[0] == f"made: softwaremodules {NAME} {VERSION}"
    assert any("of 4.0 MiB sent" in line and "s left" in line for line in said)
    assert any(line.endswith(f"the server has SHA-256 {SHA256}") for line in said)
    assert said[-1] == f"{server.host}: {NAME} {VERSION} is distribution set 3"
    assert server.artifacts[1][0]["hashes"]["sha256"] == SHA256
    assert [each["id"] for each in server.sets[0]["modules"]] == [1]


def test_published_again_nothing_is_made_twice(publish: Run, server: FakeHawkbit) -> None:
    publish(waves=WAVES, start=True)
    before = len(server.asked("POST"))
    said = publish(waves=WAVES, start=True)
    assert len(server.asked("POST")) == before
    assert said[-1].endswith("to 300 boards is running")


def test_names_are_compared_exactly(publish: Run, server: FakeHawkbit) -> None:
    server.modules.append({"id": 900, "name": NAME, "version": VERSION.upper(), "type": "os"})
    server.modules.append({"id": 901, "name": NAME, "version": VERSION, "type": "os", "deleted": True})
    monkey = server.modules.pop()
    publish()
    server.modules.insert(0, monkey)
    publish()
    assert [each["id"] for each in server.modules] == [901, 900, 1]


def test_who_is_quicker_makes_it_once(publish: Run, server: FakeHawkbit) -> None:
    server.refuse = [Refusal("POST .*softwaremodules$", 409, info("repo.entityAlreadyExists"), times=1, after=True)]
    assert publish()[-1].endswith("is distribution set 3")
    assert len(server.modules) == 1


def test_asked_too_quickly_it_asks_again(publish: Run, server: FakeHawkbit) -> None:
    server.refuse = [Refusal("GET", 429, times=3)]
    assert publish()[-1].endswith("is distribution set 3")


def test_by_token_below_a_path(publish: Run, server: FakeHawkbit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYCLONE_CAPTURE_HAWKBIT_USER")
    monkeypatch.delenv("CYCLONE_CAPTURE_HAWKBIT_PASSWORD")
    monkeypatch.setenv("CYCLONE_CAPTURE_HAWKBIT_TOKEN", fake_hawkbit.TOKEN)
    assert publish()[-1].endswith("is distribution set 3")
    with pytest.raises(UserError, match="is it a hawkBit server"):
        publish(server=server.url + "/below")


def test_rollout_is_prepared_then_started(publish: Run, server: FakeHawkbit) -> None:
    assert publish(waves=WAVES)[-1] == f"{server.host}: roll-out 4 to 300 boards is ready"
    sent = next(each.body for each in server.exchanges if (each.method, each.path) == ("POST", "/rollouts"))
    assert (sent["targetFilterQuery"], sent["amountGroups"]) == (WAVES.query, 4)
    assert (sent["errorCondition"]["expression"], sent["successCondition"]["expression"]) == ("5", "95")
    assert publish(waves=WAVES, start=True)[-1] == f"{server.host}: roll-out 4 to 300 boards is running"
    assert publish(waves=Waves("tag==outdoor"))[-1].startswith(f"{server.host}: roll-out 5")


def test_rollout_to_nobody(publish: Run) -> None:
    with pytest.raises(TargetError, match="does not match any targets"):
        publish(waves=Waves("name==nobody"))


def test_rollout_that_waits_for_approval(publish: Run, server: FakeHawkbit) -> None:
    server.approval = True
    assert publish(waves=WAVES)[-1].endswith("is waiting for approval")
    with pytest.raises(TargetError, match=r"waiting for approval, not started \(valid: approved or resumed"):
        publish(waves=WAVES, start=True)


def test_rollout_of_another_set(publish: Run, server: FakeHawkbit) -> None:
    publish(waves=WAVES)
    server.rollouts[0]["targetFilterQuery"] = "name==*"
    with pytest.raises(TargetError, match="is of another set or filter"):
        publish(waves=WAVES)


def test_rollout_that_is_never_made(publish: Run, server: FakeHawkbit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hawkbit_rollout, "READY_SECONDS", 0.0)
    server.looks = 1 << 60
    with pytest.raises(TargetError, match=r"is creating, since 0 s \(valid: try again later"):
        publish(waves=WAVES)


def test_query_language() -> None:
    assert hawkbit_catalogue.quoted("it's \\") == r"'it\'s \\'"


def test_session_shows_no_secret() -> None:
    who = hawkbit_access.Credentials("x", "a", "s3cret")
    with hawkbit_http.Session("https://hawkbit.example.org", who) as session:
        assert "s3cret" not in repr(session) + repr(who)
