# SPDX-License-Identifier: MIT
"""Checking: the linters and all tests, which is what CI runs (`./inv check`); pytest does it."""

from __future__ import annotations

import sys

from firmware import paths, tool
from firmware.errors import UserError

# pytest's exit statuses (pytest documentation, "Exit codes")
_USAGE, _NO_TESTS = 4, 5


def run(only: str = "", slow: bool = False) -> int:
    """Run the tests that the pytest expression `only` selects; pytest's status. Raises UserError: it selects none."""
    command = [sys.executable, "-m", "pytest", *(["--slow"] if slow else []), *(["-k", only] if only else [])]
    status = tool.attended(command, cwd=paths.ROOT)
    if only and status in (_USAGE, _NO_TESTS):
        raise UserError(f"--only: {only!r} selects no test (valid: a part of a test's name; and, or, not)")
    return status
