# SPDX-License-Identifier: MIT
"""Runs one case of a module of cases on the board: `main(globals())`, with the case's name on the command line."""

from __future__ import annotations

import sys
from typing import Any


def main(names: dict[str, Any]) -> None:
    """Call `case_<argument>`; an assertion that fails ends in a traceback and status 1."""
    names[f"case_{sys.argv[1]}"]()
