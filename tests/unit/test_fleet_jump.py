# SPDX-License-Identifier: MIT
"""Boards behind a jump host: one that forwards nothing first, then a fleet's board, and one with its stream."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import fleet, fleet_rollout, identity, reach, ssh
from firmware.choice import Choice
from firmware.fleet import Fleet
from firmware.known_hosts import KnownHosts
from firmware.ssh_server import FakeBoard

pytestmark = pytest.mark.unit


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeBoard, FakeBoard]]:
    """A jump host and a board, both pinned."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    login = identity.public_of(identity.user_key())
    made = [FakeBoard(identity.new_key(), login, lambda command, _in: (0, command.encode(), b"")) for _ in range(2)]
    for number, each in enumerate(made):
        KnownHosts().pin(f"host-{number}", each.host_key.public)
    yield made[0], made[1]
    for each in made:
        each.close()


def test_jump_host_that_forwards_nothing(hosts: tuple[FakeBoard, FakeBoard]) -> None:
    gate, board = hosts
    gate.tunnels = False
    with ssh.Target("127.0.0.1", gate.port) as jump:
        target = ssh.Target("127.0.0.1", board.port, jump=jump)
        with pytest.raises(ssh.Unreachable, match="cannot be reached through"):
            target.connect()


def test_board_behind_a_jump_host(hosts: tuple[FakeBoard, FakeBoard]) -> None:
    gate, board = hosts
    (member,) = fleet.members(
        Fleet.model_validate(
            {
                "board": "x1",
                "acceptance": "health",
                "groups": {"a": {"jump": f"127.0.0.1:{gate.port}", "hosts": [f"127.0.0.1:{board.port}"]}},
            }
        )
    )
    with fleet_rollout.reacher()(member) as target:
        assert target.output(["hello", "there"]) == "hello there"
        assert target.alias == "host-1", "the board's own key was checked, not the jump host's"


def test_one_board_behind_a_jump_host_and_its_stream(
    hosts: tuple[FakeBoard, FakeBoard], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, board = hosts
    with socket.create_server(("127.0.0.1", 0)) as service:
        monkeypatch.setattr(reach, "STREAM_PORT", service.getsockname()[1])
        found = reach.reach(Choice().update(host=f"127.0.0.1:{gate.port},127.0.0.1:{board.port}"))
        with found.target as target, socket.create_connection(found.stream, timeout=30) as client:
            assert target.output(["hello"]) == "hello"
            carried, _ = service.accept()
            with carried:
                carried.sendall(b"samples")
                assert client.recv(7) == b"samples"
                command = target.shell_command()
    (proxy,) = [word for word in command if word.startswith("ProxyCommand=")]
    assert 'HostKeyAlias="host-0"\' ' in proxy
    assert proxy.endswith(f"-W %h:%p -p {gate.port} -l operator -- 127.0.0.1")
    assert command[-1] == "127.0.0.1"
