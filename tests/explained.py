# SPDX-License-Identifier: MIT
"""Lines of a board's logs that look like errors, and are none: the table in docs/emulator.md, each with its reason."""

from __future__ import annotations

import re

from firmware import paths

HEADING = "## Lines of a boot log that look like errors, and are none"


def allowed() -> dict[str, str]:
    """Pattern -> reason, from the table in docs/emulator.md; `...` stands for anything."""
    text = (paths.ROOT / "docs" / "emulator.md").read_text().split(HEADING)[1].split("\n## ")[0]
    found = {}
    for row in re.findall(r"^\| (`.*?) \| (.*) \|$", text, re.MULTILINE):
        for line in re.findall(r"`([^`]+)`", row[0]):
            found[re.escape(line).replace(re.escape("..."), ".*")] = row[1]
    return found


def unexplained(lines: list[str], reasons: dict[str, str]) -> list[str]:
    """Lines for which there is no reason."""
    return [line for line in lines if not any(re.search(pattern, line) for pattern in reasons)]
