# SPDX-License-Identifier: MIT
"""The status page's port: one that cannot be is refused before the board is asked."""

from __future__ import annotations

import pytest

from firmware import dashboard
from firmware.errors import UserError
from firmware.ssh import Target

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_port_that_cannot_be_is_refused_before_the_board_is_asked(port: int) -> None:
    with pytest.raises(UserError, match=rf"--port: {port} \(valid: 1 to 65535, or 0"):
        dashboard.run(Target("board.invalid", 22), port)
