# SPDX-License-Identifier: MIT
"""The SSH server that plays a board, by the name that the tests know."""

from __future__ import annotations

from firmware.ssh_server import BREAK_OFF, Answer, FakeBoard, Respond

__all__ = ["BREAK_OFF", "Answer", "FakeBoard", "Respond"]
