# SPDX-License-Identifier: MIT
"""The tunnel's end: no thread of it ends with an exception when the link has dropped."""

from __future__ import annotations

from unittest import mock

import paramiko
import pytest

from firmware import tunnel
from firmware.httpd import RangeServer


@pytest.mark.unit
@pytest.mark.parametrize("error", [EOFError, ConnectionResetError])
def test_answer_ends_in_silence_when_the_link_has_dropped(error: type[Exception]) -> None:
    channel, server = mock.Mock(spec=paramiko.Channel), mock.Mock(spec=RangeServer)
    channel.close.side_effect = error
    tunnel._answer(server, channel)
    server.serve.assert_called_once_with(channel)
    channel.close.assert_called_once_with()
