# SPDX-License-Identifier: MIT
"""Which of two versions is the older one: Semantic Versioning 2.0.0, clause 11.

`MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`; the build part (here: what the slot is made of) does not count, so two builds
of one version are neither older nor newer.
"""

from __future__ import annotations

import re

_VERSION = re.compile(r"^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$")
VALID = "MAJOR.MINOR.PATCH, such as 1.4.0 or 1.4.0-rc.1+3f9a41c2d07b"


def older(one: str, other: str) -> bool:
    """Whether `one` is older than `other`. Raises ValueError: one of them is no version."""
    return _order(one) < _order(other)


def _order(version: str) -> tuple[tuple[int, ...], bool, list[tuple[bool, int, str]]]:
    found = _VERSION.match(version)
    if not found:
        raise ValueError(f"{version!r} is no version (valid: {VALID})")
    core = tuple(int(number) for number in found.groups()[:3])
    # a number is below a text, and a release above all its prereleases
    parts = (found[4] or "").split(".") if found[4] else []
    order = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
    return core, not parts, order
