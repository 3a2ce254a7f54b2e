# SPDX-License-Identifier: MIT
"""SSH to a board: what can go wrong first, each with its own message; then commands, files, reboots and the tunnel."""

from __future__ import annotations

import gc
import hashlib
import shlex
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tasks
from firmware import identity, reach, ssh, tunnel
from firmware.choice import Choice
from firmware.errors import TargetError, UserError
from firmware.known_hosts import KnownHosts
from tests.unit.fake_board import BREAK_OFF, Answer, FakeBoard

pytestmark = pytest.mark.unit
HOST = "127.0.0.1"


class Shell:
    """What the fake board plays: runs commands here, except those in `answers`."""

    def __init__(self) -> None:
        """No answers prepared; the first boot goes on for ever."""
        self.answers: dict[str, Answer] = {}
        self.commands: list[str] = []
        self.boot_ids = ["first"]

    def respond(self, command: str, stdin: bytes) -> Answer:
        """Run `command`, without sudo."""
        self.commands.append(command)
        if command in self.answers:
            return self.answers[command]
        if ssh.BOOT_ID in command:
            boot_id = self.boot_ids.pop(0) if len(self.boot_ids) > 1 else self.boot_ids[0]
            return 0, f"{boot_id}\n".encode(), b""
        argv = shlex.split(command.removeprefix("sudo -n -- "))
        done = subprocess.run(argv, input=stdin, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(ssh, "RETRY_SECONDS", 0.01)


@pytest.fixture
def shell() -> Shell:
    return Shell()


@pytest.fixture
def server(shell: Shell) -> Iterator[FakeBoard]:
    made = FakeBoard(identity.new_key(), identity.public_of(identity.user_key()), shell.respond)
    yield made
    made.close()


@pytest.fixture
def target(server: FakeBoard) -> Iterator[ssh.Target]:
    KnownHosts().pin("x1-0001", server.host_key.public)
    with ssh.Target(HOST, server.port) as made:
        yield made


def test_name_that_does_not_exist() -> None:
    with pytest.raises(ssh.Unreachable, match="no such host"):
        ssh.Target("board.invalid").connect()


def test_port_where_nothing_listens() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ssh.Unreachable, match=rf"\[{HOST}\]:{port}: refuses the connection"):
        ssh.Target(HOST, port).connect()


def test_silent_port_is_given_up() -> None:
    with (
        socket.create_server((HOST, 0)) as listener,
        pytest.raises(ssh.Unreachable, match="answers, but not as a board's SSH server"),
    ):
        ssh.Target(HOST, listener.getsockname()[1]).connect(timeout=0.2)


def test_unknown_host_key_is_refused_before_the_log_in(server: FakeBoard, shell: Shell) -> None:
    with pytest.raises(UserError, match=r"unknown host, refused[\s\S]*--accept-host-key SHA256:"):
        ssh.Target(HOST, server.port).connect()
    assert shell.commands == []


def test_changed_host_key_is_refused(server: FakeBoard) -> None:
    KnownHosts().pin(f"[{HOST}]:{server.port}", identity.new_key().public)
    with pytest.raises(TargetError, match="its host key has changed: refused"):
        ssh.Target(HOST, server.port).connect()


def test_key_that_may_not_log_in(server: FakeBoard, tmp_path: Path) -> None:
    KnownHosts().pin("x1-0001", server.host_key.public)
    other = tmp_path / "other"
    other.write_text(identity.new_key().private)
    with pytest.raises(ssh.Unreachable, match=r"does not let operator in with the key .*other"):
        ssh.Target(HOST, server.port, key=other).connect()


def test_failed_command_says_what_it_said(target: ssh.Target) -> None:
    with pytest.raises(TargetError, match=r"sh -c 'echo sorry >&2; exit 3': status 3: sorry"):
        target.output(["sh", "-c", "echo sorry >&2; exit 3"])


def test_command_that_takes_too_long(server: FakeBoard, shell: Shell, target: ssh.Target) -> None:
    release = threading.Event()

    def answer_late(_command: str, _stdin: bytes) -> Answer:
        release.wait()
        return 0, b"", b""

    server.respond = answer_late
    with pytest.raises(ssh.Late, match=r"true: did not end within 0\.1 s"):
        target.run(["true"], timeout=0.1)
    release.set()


def test_lost_connection_is_no_result(shell: Shell, target: ssh.Target) -> None:
    shell.answers["true"] = (BREAK_OFF, b"", b"")
    with pytest.raises(ssh.Unreachable, match="connection lost while running: true"):
        target.run(["true"])
    assert target.run(["echo", "again"]).stdout == "again\n"


def test_board_that_does_not_reboot_is_said(target: ssh.Target) -> None:
    with pytest.raises(ssh.Unreachable, match=r"has not rebooted within 0.1 s: it has not gone down"):
        target.wait_for_reboot("first", timeout=0.1)


def test_board_that_never_comes_up_is_not_said_to_have_kept_running(target: ssh.Target, server: FakeBoard) -> None:
    server.close()
    with pytest.raises(ssh.Unreachable, match=r"has not answered within 0.1 s: refuses the connection"):
        target.wait_for_reboot("", timeout=0.1)


def test_tunnel_that_is_refused(server: FakeBoard, target: ssh.Target, tmp_path: Path) -> None:
    server.tunnels = False
    file = tmp_path / "b"
    file.write_bytes(b"x")
    with pytest.raises(TargetError, match="refuses a reverse tunnel"), tunnel.serve(target, file):
        pass


def test_client_that_goes_away_in_the_middle_of_a_file_is_no_error_here(target: ssh.Target, tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.write_bytes(bytes(32 << 20))
    with tunnel.serve(target, file) as opened:
        place = urllib.parse.urlsplit(opened.url)
        with socket.create_connection((HOST, place.port or 0)) as client:
            client.sendall(f"GET {place.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    gc.collect()  # what a thread leaves behind must not complain either: pytest would fail


@pytest.mark.parametrize("text", ["", "foo", "SHA256:abc", "MD5:" + "A" * 43, "SHA256:" + "A" * 44])
def test_host_key_to_accept_that_is_no_fingerprint_is_refused_before_anything_is_sent(text: str) -> None:
    with pytest.raises(UserError, match=r"--accept-host-key.*no fingerprint.*valid: SHA256:"):
        ssh.Target("board-that-is-never-asked", accept_host_key=text)


def test_host_key_to_accept_of_the_emulated_board_is_refused() -> None:
    with pytest.raises(UserError, match=r"--accept-host-key: the emulated board's key is known .valid: with --host"):
        reach.reach(Choice(), "SHA256:" + "A" * 43)


@pytest.mark.parametrize("task", [tasks.ssh, tasks.status, tasks.deploy], ids=lambda task: task.name)
def test_tasks_that_the_refusal_names_take_the_key(task: Any) -> None:
    assert "accept_host_key" in [argument.name for argument in task.get_arguments()]


def test_accepted_host_key_is_pinned_for_this_address(server: FakeBoard) -> None:
    shown = identity.fingerprint(server.host_key.public)
    with ssh.Target(HOST, server.port, accept_host_key=shown) as target:
        assert target.alias == f"[{HOST}]:{server.port}"
    with ssh.Target(HOST, server.port) as target:
        assert target.output(["echo", "a b", "$HOME", "'"]) == "a b $HOME '\n"


def test_card_is_recognised_by_its_key(target: ssh.Target) -> None:
    assert target.alias == "x1-0001"
    words = target.shell_command()
    assert words[0] == "ssh"
    assert 'HostKeyAlias="x1-0001"' in words
    assert 'StrictHostKeyChecking="yes"' in words
    assert words[-1] == HOST


def test_sudo_is_put_in_front(shell: Shell, target: ssh.Target) -> None:
    assert target.run(["id", "-u"], sudo=True).status == 0
    assert shell.commands == ["sudo -n -- id -u"]


def test_both_outputs_and_the_status_come_back(target: ssh.Target) -> None:
    done = target.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert done == ssh.Result(7, "out\n", "err\n")


def test_lines_are_given_as_they_come(target: ssh.Target) -> None:
    lines: list[str] = []
    done = target.run(["printf", "a\\nb\\n\\nlast"], say=lines.append)
    assert lines == ["a", "b", "", "last"]
    assert done.stdout == "a\nb\n\nlast"


def test_large_input_and_output(target: ssh.Target) -> None:
    text = "0123456789abcdef" * (1 << 17)  # 2 MiB
    assert target.output(["cat"], stdin=text.encode()) == text


def test_file_is_replaced_with_its_mode(target: ssh.Target, tmp_path: Path) -> None:
    place = tmp_path / "with space"
    target.put(b"#!/bin/sh\n", str(place), mode=0o755)
    assert place.read_bytes() == b"#!/bin/sh\n"
    assert place.stat().st_mode & 0o777 == 0o755
    assert target.get(str(place)) == "#!/bin/sh\n"


def test_reboot_is_proven_by_the_boot_id(shell: Shell, target: ssh.Target) -> None:
    before = target.boot_id()
    shell.answers["sudo -n -- systemctl --no-block reboot"] = (BREAK_OFF, b"", b"")
    shell.boot_ids = ["first", "first", "second"]
    target.reboot()
    assert target.wait_for_reboot(before, timeout=20) == "second"


def test_board_reads_a_file_through_the_tunnel(target: ssh.Target, tmp_path: Path) -> None:
    content = hashlib.shake_128(b"seed").digest(3 << 20)
    file = tmp_path / "x.raucb"
    file.write_bytes(content)
    with tunnel.serve(target, file) as opened:
        with urllib.request.urlopen(opened.url, timeout=20) as answer:  # noqa: S310  # our own loopback
            assert answer.read() == content
        request = urllib.request.Request(opened.url, headers={"Range": "bytes=5-9"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            assert (answer.status, answer.read()) == (206, content[5:10])
        assert opened.server.bytes_sent == len(content) + 5
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(opened.url.replace("x.raucb", "y"), timeout=20)  # noqa: S310
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(opened.url, timeout=20)  # noqa: S310
