# SPDX-License-Identifier: MIT
"""The configuration: what is wrong is refused with the key's name and what is valid; the rest has its default."""

from __future__ import annotations

import argparse
import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from captured import config, facts, main, sink_tcp
from captured.errors import ConfigError

pytestmark = pytest.mark.unit

BOARD = facts.Facts("de0-nano-soc", 0xCC5A0001, 1 << 20, 64, 7700)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tcp", "no valid TOML"),
        ("port = 1", "port: no such section (valid: disk, http, tcp)"),
        ("tcp = 1", "tcp: 1 (valid: a section, [tcp])"),
        ("[web]", "web: no such section"),
        ("[tcp]\nprot = 1", "tcp.prot: no such key (valid: allow, bandwidth, budget"),
        ("[tcp]\nport = 0", "tcp.port: 0 (valid: an integer from 1 to 65535)"),
        ("[tcp]\nport = true", "tcp.port: True (valid: an integer"),
        ("[tcp]\nbudget = 65", "tcp.budget: 65 (valid: an integer from 0 to 64)"),
        ("[tcp]\npolicy = 'drop'", "tcp.policy: 'drop' (valid: wait, gap, window, disconnect)"),
        ("[tcp]\nallow = '10.0.0.1'", "tcp.allow: '10.0.0.1' (valid: a list of addresses"),
        ("[tcp]\nallow = ['10.0.0.1/8']", "host bits 0"),
        ("[tcp]\nallow = ['any']", "tcp.allow: ['any'] (valid: addresses and networks"),
        ("[tcp]\ninterface = 'eth0; rm'", "tcp.interface: 'eth0; rm' (valid: a network interface"),
        ("[[tcp.push]]\nhost = 'name'\nport = 1", "an IP address"),
        ("[[tcp.push]]\nhost = '10.0.0.1'", "tcp.push"),
        ("[disk]\npolicy = 'disconnect'", "disk.policy: 'disconnect' (valid: wait, gap, window)"),
        ("[disk]\nfolder = 'here'", "disk.folder: 'here' (valid: an absolute path)"),
        ("[disk]\nwriter = 'fast'", "disk.writer: 'fast' (valid: auto, direct, mmap, buffered)"),
        ("[disk]\ndatatype = 'u32'", "disk.datatype: 'u32' (valid: a SigMF datatype"),
        ("[disk]\nrotate_bytes = 1", "disk.rotate_bytes: 1 (valid: an integer from 1048576"),
        ("[disk]\nchecksum = 1", "disk.checksum: 1 (valid: true, false)"),
        ("[http]\nport = -1", "http.port: -1 (valid: an integer from 0 to 65535)"),
        ("[tcp]\nraw_port = 7700", "tcp.raw_port: 7700 (valid: another port than tcp.port's)"),
        ("[tcp]\nport = 7701", "http.port: 7701 (valid: another port than tcp.port's)"),
        ("[tcp]\nraw_port = 9000\n[http]\nport = 9000", "http.port: 9000 (valid: another port than tcp.raw_port's)"),
    ],
)
def test_wrong_configuration_is_refused_with_its_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, BOARD)
    assert said in str(caught.value)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "captured.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"captured\.toml: .*valid: a TOML file"):
        config.load(path, BOARD)
    path.write_text("[tcp]\nport = 0\n")
    with pytest.raises(ConfigError, match=r"captured\.toml: tcp\.port"):
        config.load(path, BOARD)


def test_no_file_means_the_boards_defaults_and_nobody_may_read(tmp_path: Path) -> None:
    found = config.load(tmp_path / "none", replace(BOARD, stream_port=7777))
    assert found.tcp.port == 7777
    assert found.tcp.allow == ()
    assert found.disk.folder.is_relative_to("/data/captured")


def test_whole_configuration_is_taken_over() -> None:
    text = """
    [tcp]
    allow = ["192.168.7.0/24", "fd00::/8", "10.0.0.1"]
    policy = "disconnect"
    budget = 16
    [[tcp.push]]
    host = "10.0.0.2"
    port = 9000
    raw = true
    [disk]
    writer = "mmap"
    rotate_seconds = 60
    [http]
    port = 0
    """
    found = config.parse(text, BOARD)
    assert [str(one) for one in found.tcp.allow] == ["192.168.7.0/24", "fd00::/8", "10.0.0.1/32"]
    assert found.tcp.push == (config.Push("10.0.0.2", 9000, True),)
    assert (found.tcp.policy, found.tcp.budget, found.disk.writer, found.http.port) == ("disconnect", 16, "mmap", 0)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], tuple[config.Config, str]]]:
    """Opens what a configuration names, as the daemon does when it starts; without a file: a free port, no page."""
    made: list[socket.socket | None] = []
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    usual = config.Config(tcp=config.Tcp(port=port), http=config.Http(0))
    monkeypatch.setattr(config, "defaults", lambda _board: usual)
    monkeypatch.setattr(main, "INTERFACE_SECONDS", 0.3)

    def begin(text: str) -> tuple[config.Config, str]:
        path = tmp_path / "captured.toml"
        path.write_text(text)
        options = argparse.Namespace(config=path, port=None, listen="127.0.0.1")
        found, listeners, wrong = main.configured(options, BOARD)
        made.extend(listeners)
        assert listeners[0] is not None
        assert listeners[0].getsockname()[1] == found.tcp.port
        return found, wrong

    yield begin
    for one in made:
        if one is not None:
            one.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tcp]\nallow = ['10.0.0.1']\n[http]\nport = {taken}", "http.port: {taken}: Address already in use"),
        (
            "[tcp]\nraw_port = {taken}",
            "tcp.raw_port: {taken}: Address already in use (valid: a free port from 1024 on)",
        ),
        ("[tcp]\ninterface = 'none7'", "tcp.interface: 'none7': No such device (valid: a network interface"),
        ("[tcp", "no valid TOML"),
    ],
)
def test_service_starts_with_the_defaults_when_a_port_is_taken_or_an_interface_missing(
    start: Callable[[str], tuple[config.Config, str]], text: str, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        found, wrong = start(text.format(taken=taken))
    assert found.tcp.allow == ()
    assert f"captured.toml: {said.format(taken=taken)}" in wrong


def test_service_starts_with_what_a_right_file_says_and_waits_for_its_interface(
    start: Callable[[str], tuple[config.Config, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = [OSError(errno.ENODEV, "No such device")]
    listen = sink_tcp.listen

    def late(*arguments: Any, **options: Any) -> socket.socket:
        if absent:
            raise absent.pop()
        return listen(*arguments, **options)

    monkeypatch.setattr(sink_tcp, "listen", late)
    found, wrong = start("[tcp]\ninterface = 'lo'\nallow = ['10.0.0.1']\n")
    assert (found.tcp.interface, wrong, absent) == ("lo", "", [])


def test_printed_configuration_is_valid_whatever_its_strings_hold() -> None:
    wanted = replace(config.defaults(BOARD), disk=config.Disk(folder=Path('/data/a"b\\c ä\t')))
    assert config.parse(config.text(wanted), BOARD) == wanted


def test_every_key_can_be_set_and_printed_configuration_is_valid() -> None:
    assert config.parse(config.text(config.defaults(BOARD)), BOARD) == config.defaults(BOARD)
