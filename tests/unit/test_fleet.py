# SPDX-License-Identifier: MIT
"""Fleets: files that are wrong first, then waves, canaries, stopping and resuming."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import deploy, fleet, inspection, paths, ssh, transfer, tunnel
from firmware.choice import Choice
from firmware.deploy import Offer, Plan
from firmware.errors import TargetError, UserError
from firmware.fleet import Fleet, Member
from firmware.fleet_rollout import Rollout
from firmware.inspection import Content
from tests.unit.played_board import PlayedBoard

pytestmark = pytest.mark.unit
GOOD = """
board: x1
acceptance: health
canaries: 1
wave: 2
concurrency: 2
stop_share: 0.4
groups:
  hall-a: {tags: [outdoor], hosts: [b1, b2, {host: b3, tags: [canary]}]}
  hall-b: {jump: "me@gate:2222", hosts: [b4, "b5:22", "b6:2022"]}
"""


def load(tmp_path: Path, text: str = GOOD) -> Fleet:
    (tmp_path / "fleet.yaml").write_text(text)
    return fleet.load(tmp_path / "fleet.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (GOOD, "[", "no valid YAML"),
        (GOOD, "x", r"fleet\.yaml: a str \(valid: keys and values: board, acceptance"),
        ("board: x1", "", "board: missing key"),
        ("board: x1", "board: x1\nbored: x1", r"bored: unknown key \(valid: board, acceptance"),
        ("canaries: 1", "canaries: -1", r"canaries: .* is not valid: Input should be greater"),
        ("concurrency: 2", "concurrency: 0", r"concurrency: .* is not valid: Input should be greater"),
        ("stop_share: 0.4", "stop_share: 40", r"stop_share: .* is not valid: Input should be less"),
        (
            "acceptance: health",
            "acceptance: faith",
            r"acceptance: .* is not valid: Input should be 'capture' or 'health'",
        ),
        ("acceptance: health", "acceptance: capture", r"hall-b hide behind a jump host .valid: acceptance: health"),
        ("tags: [canary]", "tags: [Canary!]", r"tags\.0: 'Canary!' is not valid: String should match"),
        ("b1, b2", "b1, b1", r"fleet\.yaml: b1: more than once in the fleet"),
        ("b1, b2", "b1, B1", "b1: more than once in the fleet"),
        ("b1, b2", "b1, 'fe80::1'", r"'fe80::1' is no host of a fleet .valid: \[user@\]name\[:port\]; .*group's jump"),
        ("b1, b2", "b1, 'b 2'", "'b 2' is no host"),
        ("me@gate:2222", "me@:1", "'me@:1' is no host"),
        ("b1, b2", "b1, 'gate,b2'", r"'gate,b2' is no host of a fleet .valid: \[user@\]name\[:port\]; .*group's jump"),
        ("me@gate:2222", "gate,inner", r"jump: 'gate,inner' is no host of a fleet"),
        ("b1, b2, {host: b3, tags: [canary]}", "", r"hosts: \[\] is not valid: List should have at least 1 item"),
    ],
)
def test_file_that_is_wrong(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError, match=said):
        load(tmp_path, GOOD.replace(old, new))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no fleet .*valid: a file as"):
        fleet.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("group", "tag", "said"),
    [
        ("hall-c", "", "no group 'hall-c' .valid: hall-a, hall-b"),
        ("", "indoor", "no board has the tag 'indoor' .valid: canary, outdoor"),
    ],
)
def test_part_that_there_is_not(tmp_path: Path, group: str, tag: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        fleet.members(load(tmp_path), group, tag)


def names(members: list[Member]) -> list[str]:
    return [member.name for member in members]


def test_parts_of_a_fleet(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert names(fleet.members(found)) == ["b1", "b2", "b3", "b4", "b5", "b6:2022"]
    assert names(fleet.members(found, "hall-b")) == ["b4", "b5", "b6:2022"]
    assert names(fleet.members(found, tag="outdoor")) == ["b1", "b2", "b3"]
    assert names(fleet.members(found, tag="canary")) == ["b3"]
    jump = fleet.members(found, "hall-b")[0].jump
    assert jump is not None
    assert (jump.user, jump.name, jump.port) == ("me", "gate", 2222)


def test_canaries_go_first(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert [names(wave) for wave in fleet.waves(found, fleet.members(found))] == [
        ["b3"],
        ["b1", "b2"],
        ["b4", "b5"],
        ["b6:2022"],
    ]
    none = found.model_copy(update={"canaries": 0})
    assert [len(wave) for wave in fleet.waves(none, fleet.members(none))] == [2, 2, 2]


class Played:
    """Boards that are played; those named `sick` fail their health check."""

    def __init__(self, sick: str = "") -> None:
        """All run 1.0."""
        self.boards: dict[str, PlayedBoard] = {}
        self.sick = sick.split()

    def __call__(self, member: Member) -> ssh.Target:
        """The board of `member`."""
        board = self.boards.setdefault(member.name, PlayedBoard(member.name))
        board.healthy = member.name not in self.sick
        return board


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    @contextlib.contextmanager
    def serve(_target: ssh.Target, _file: Path) -> Iterator[Any]:
        yield SimpleNamespace(url="http://127.0.0.1:1/x", server=SimpleNamespace(bytes_sent=5, size=50))

    monkeypatch.setattr(tunnel, "serve", serve)
    monkeypatch.setattr(inspection, "inspect", lambda _bundle, _keyring: Content("cyclone-capture-x1", "2.0", 1, False))
    monkeypatch.setattr(inspection, "out_of_time", lambda _bundle, _keyring, _at: "")
    monkeypatch.setattr(deploy, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(transfer, "RETRY_SECONDS", 0.0)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = tmp_path / "x1.raucb"
    bundle.write_bytes(b"bundle")
    return Offer("x1", "2.0", bundle, hashlib.sha256(b"bundle").hexdigest())


def roll(tmp_path: Path, offer: Offer, played: Played, plan: Plan = deploy.PLAN) -> dict[str, str]:
    """One run; action by board."""
    found = load(tmp_path)
    made = Rollout(found, offer, played, tmp_path / "fleet.json", lambda _text: None)
    with contextlib.suppress(TargetError):
        made.run(fleet.members(found), plan=plan)
    return {name: result.action for name, result in made.results.items()}


def test_canary_that_fails_ends_it(tmp_path: Path, offer: Offer) -> None:
    played = Played(sick="b3")
    actions = roll(tmp_path, offer, played)
    assert actions.pop("b3") == "reverted"
    assert set(actions.values()) == {"waiting"}
    assert list(played.boards) == ["b3"]


def test_too_many_failures_end_it(tmp_path: Path, offer: Offer) -> None:
    actions = roll(tmp_path, offer, Played(sick="b1 b2"))
    assert [actions[name] for name in ("b3", "b1", "b2", "b4")] == ["committed", "reverted", "reverted", "waiting"]


def test_some_failures_do_not_end_it_but_are_said(tmp_path: Path, offer: Offer) -> None:
    found, said = load(tmp_path), list[str]()
    made = Rollout(found, offer, Played(sick="b2"), tmp_path / "fleet.json", said.append)
    with pytest.raises(TargetError, match=r"1 of 6 boards: do not run it; results: .*fleet.json"):
        made.run(fleet.members(found))
    assert said[-1].splitlines()[-1] == "5 committed, 1 reverted"
    assert "health: made to fail" in said[-1]


def test_surprise_with_one_board_is_not_the_others(tmp_path: Path, offer: Offer) -> None:
    played = Played()

    def reach(member: Member) -> ssh.Target:
        if member.name == "b1":
            raise RuntimeError("a bug")
        return played(member)

    found = load(tmp_path)
    made = Rollout(found, offer, reach, tmp_path / "fleet.json", lambda _text: None)
    with pytest.raises(TargetError, match="1 of 6 boards"):
        made.run(fleet.members(found))
    assert made.results["b1"].reason == "RuntimeError('a bug')"


def test_it_goes_on_where_it_ended(tmp_path: Path, offer: Offer) -> None:
    roll(tmp_path, offer, Played(sick="b1 b2"))
    again = Played()
    assert set(roll(tmp_path, offer, again).values()) == {"committed"}
    assert "b3" not in again.boards, "it has the bundle, and is left alone"
    assert {"b1", "b2", "b6:2022"} <= set(again.boards)


def test_boards_that_have_the_bundle_get_it_again_when_forced(tmp_path: Path, offer: Offer) -> None:
    """Such as one that was rolled back by hand, behind the results' back."""
    roll(tmp_path, offer, Played())
    again = Played()
    assert set(roll(tmp_path, offer, again, Plan(force=True)).values()) == {"committed"}
    assert len(again.boards) == 6


def test_interrupted_fleet_ends_what_is_under_way_and_begins_nothing_more(tmp_path: Path, offer: Offer) -> None:
    played, said = Played(), list[str]()
    interrupted, begun = threading.Event(), threading.Barrier(3)

    def reach(member: Member) -> ssh.Target:
        if member.name in ("b1", "b2"):  # the two of the second wave: at work, when Ctrl-C comes
            begun.wait(30)
            assert interrupted.wait(30)
        return played(member)

    def say(text: str) -> None:
        said.append(text)
        if "no further board" in text:
            interrupted.set()

    def press() -> None:
        begun.wait(30)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    found = load(tmp_path)
    made = Rollout(found, offer, reach, tmp_path / "fleet.json", say)
    presser = threading.Thread(target=press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            made.run(fleet.members(found))
    finally:
        presser.join()
        signal.signal(signal.SIGINT, before)
    actions = {name: result.action for name, result in made.results.items()}
    assert actions == dict.fromkeys(("b1", "b2", "b3"), "committed") | dict.fromkeys(("b4", "b5", "b6:2022"), "waiting")
    assert "no further board is begun; waited for: b1, b2 (Ctrl-C leaves them alone)" in said
    assert {"b1", "b2"} <= {each["name"] for each in json.loads((tmp_path / "fleet.json").read_text())["boards"]}
    assert set(roll(tmp_path, offer, played).values()) == {"committed"}


HANGING = """
import signal, sys, time
from pathlib import Path
import tasks
from firmware import deploy, fleet, fleet_rollout

signal.signal(signal.SIGINT, signal.default_int_handler)
found = fleet.load(Path(sys.argv[1]))
offer = deploy.Offer("x1", "2.0", Path(sys.argv[2]), sys.argv[3])

def reach(member):
    print("at", member.name, flush=True)
    time.sleep(600)

made = fleet_rollout.Rollout(found, offer, reach, Path(sys.argv[4]))
tasks.guarded(lambda: made.run(fleet.members(found)))()
"""


def test_ctrl_c_once_more_leaves_what_is_under_way(tmp_path: Path, offer: Offer) -> None:
    load(tmp_path)
    argv = [sys.executable, "-c", HANGING, str(tmp_path / "fleet.yaml"), str(offer.bundle), offer.sha256]
    with subprocess.Popen(
        [*argv, str(tmp_path / "fleet.json")], cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        seen = [process.stdout.readline() for _ in range(2)]  # the wave, and the board that hangs
        process.send_signal(signal.SIGINT)
        seen.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.wait(60)
        said = process.stderr.read()
    assert seen[1:] == ["at b3\n", "no further board is begun; waited for: b3 (Ctrl-C leaves them alone)\n"]
    assert "Exit: interrupted: the same command goes on" in said, "what Invoke makes status 130 of"


LOADER = Plan(boot_loader=True)


def test_canary_whose_boot_loader_does_not_fit_ends_it(tmp_path: Path, offer: Offer) -> None:
    played = Played()
    played.boards["b3"] = PlayedBoard("b3")
    played.boards["b3"].loader_said = ""
    actions = roll(tmp_path, offer, played, LOADER)
    assert actions.pop("b3") == "failed"
    assert set(actions.values()) == {"waiting"}


def test_version_that_was_undone_is_not_told_as_having_the_boot_loader(tmp_path: Path, offer: Offer) -> None:
    roll(tmp_path, offer, Played(sick="b2"), LOADER)
    found = {each["name"]: each["boot_loader"] for each in json.loads((tmp_path / "fleet.json").read_text())["boards"]}
    assert (found["b2"], found["b1"]) == (False, True)


def test_boards_that_have_the_bundle_get_the_boot_loader_and_only_once(tmp_path: Path, offer: Offer) -> None:
    roll(tmp_path, offer, Played())
    again, third = Played(), Played()
    assert set(roll(tmp_path, offer, again, LOADER).values()) == {"committed"}
    assert all("boot-loader" in board.commands for board in again.boards.values())
    assert len(again.boards) == 6
    roll(tmp_path, offer, third, LOADER)
    roll(tmp_path, offer, third)
    assert third.boards == {}


def test_another_bundle_starts_over(tmp_path: Path, offer: Offer) -> None:
    roll(tmp_path, offer, Played())
    earlier = json.loads((tmp_path / "fleet.json").read_text())
    (tmp_path / "fleet.json").write_text(json.dumps({**earlier, "sha256": "0" * 64}))
    again = Played()
    roll(tmp_path, offer, again)
    assert len(again.boards) == 6


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"sha256": "x", "boards": 5}'])
def test_report_that_is_broken_starts_over(tmp_path: Path, offer: Offer, content: str) -> None:
    (tmp_path / "fleet.json").write_text(content)
    assert set(roll(tmp_path, offer, Played()).values()) == {"committed"}


def test_results_are_in_one_file_with_a_log_for_each_board(tmp_path: Path, offer: Offer) -> None:
    roll(tmp_path, offer, Played())
    facts = json.loads((tmp_path / "fleet.json").read_text())
    assert (facts["version"], len(facts["boards"])) == ("2.0", 6)
    assert facts["boards"][0].keys() >= {"name", "group", "wave", "action", "slot", "version", "reason", "seconds"}
    assert "slot B is committed, version 2.0" in (tmp_path / "fleet" / "b6:2022.log").read_text()


def test_fleet_of_another_board_is_refused(tmp_path: Path) -> None:
    from firmware import rollout

    load(tmp_path)
    with pytest.raises(UserError, match=r"board: 'x1' .valid: the one that is deployed, 'de0-nano-soc'"):
        rollout.to_fleet(Choice(), tmp_path / "fleet.yaml")
