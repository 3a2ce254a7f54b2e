# SPDX-License-Identifier: MIT
"""What kas says of its failure, of all that it says: its log has each step, and git's words for what went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable

from firmware import lock

_ERROR, _LEVEL = re.compile(r"^\S+ \S+ - ERROR +- "), re.compile(r"^\S+ \S+ - (DEBUG|INFO|WARNING) +- ")
_NO_COMMIT = re.compile(r"/([^/$ ]+)\$ git rev-parse --verify \S* ?([0-9a-f]{40})\^")


def problems(text: str, layers: Iterable[lock.Layer]) -> list[str]:
    """Lines that say why kas failed; none when its log does not."""
    if found := _NO_COMMIT.search(text):
        name, commit = found.groups()
        url = next((lock.place(layer.url) for layer in layers if layer.name == name), "upstream")
        advice = "one that it has; ./inv lock --update takes the newest; or fill the mirror anew"
        return [f"{name}: {url} has no commit {commit} (valid: {advice})"]
    said, within = [], False
    for line in text.splitlines():
        if _ERROR.match(line) or _LEVEL.match(line):
            within = bool(_ERROR.match(line))
        if within and line.strip():
            said.append(_ERROR.sub("", line))
    return said
