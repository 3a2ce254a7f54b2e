# SPDX-License-Identifier: MIT
"""The SSH server that plays a board: no thread of it ends with an exception when its transport goes away."""

from __future__ import annotations

import socket
from unittest import mock

import paramiko
import pytest

from firmware import ssh_server


@pytest.mark.unit
def test_tunnel_ends_in_silence_when_its_transport_is_gone() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    channel = mock.Mock(spec=paramiko.Channel)
    channel.recv.return_value = b""
    channel.shutdown.side_effect = channel.close.side_effect = EOFError
    ssh_server._join(ours, channel)
    channel.close.assert_called_once_with()
    assert ours.fileno() == -1
