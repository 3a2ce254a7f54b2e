# SPDX-License-Identifier: MIT
"""The tunnel's end: no thread of it ends with an exception when the link has dropped."""

from __future__ import annotations

import socket
from unittest import mock

import paramiko
import pytest

from firmware import forwarding, tunnel
from firmware.httpd import RangeServer
from firmware.ssh import Target


@pytest.mark.unit
@pytest.mark.parametrize("error", [EOFError, ConnectionResetError])
def test_answer_ends_in_silence_when_the_link_has_dropped(error: type[Exception]) -> None:
    channel, server = mock.Mock(spec=paramiko.Channel), mock.Mock(spec=RangeServer)
    channel.close.side_effect = error
    tunnel._answer(server, channel)
    server.serve.assert_called_once_with(channel)
    channel.close.assert_called_once_with()


@pytest.mark.unit
@pytest.mark.parametrize("error", [EOFError, ConnectionResetError])
@pytest.mark.parametrize("step", ["open_channel", "close"])
def test_forward_ends_in_silence_when_the_link_has_dropped(error: type[Exception], step: str) -> None:
    here, there = socket.socketpair()
    channel = mock.MagicMock(spec=paramiko.Channel)
    channel.recv.return_value, channel.__exit__.side_effect = b"", error
    through = mock.Mock(spec=Target)
    through.transport.open_channel.side_effect = error if step == "open_channel" else None
    through.transport.open_channel.return_value = channel
    forwarding._carry(through, here, ("", 0), ("board", 7700))
    with there:
        assert there.recv(1) == b"", "the client sees a connection that ends"


@pytest.mark.unit
@pytest.mark.parametrize("step", ["sendall", "shutdown_write"])
def test_way_up_ends_in_silence_when_the_link_has_dropped(step: str) -> None:
    here, there = socket.socketpair()
    channel = mock.Mock(spec=paramiko.Channel)
    getattr(channel, step).side_effect = EOFError
    with here, there:
        there.sendall(b"x")
        there.shutdown(socket.SHUT_WR)
        forwarding._copy_up(here, channel)
    getattr(channel, step).assert_called_once()
