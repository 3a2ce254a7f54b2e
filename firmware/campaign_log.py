# SPDX-License-Identifier: MIT
"""The log of a power-cut campaign: what each cut has shown, one file a seed, so that a stopped campaign goes on.

A seed's cuts are always the same (`firmware/campaign.py`), so the log says which ones are left. It is about one image:
built anew, or with cuts that are others by now, the campaign begins anew, and the old log stays beside the new one as
`.old.json`. The file is replaced as a whole behind each cut: whoever stops the campaign loses the cuts that are under
way, and no other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from firmware import campaign
from firmware.campaign import Cut, Seen
from firmware.errors import UserError


class Log:
    """What a seed's campaign has seen of the image with this SHA-256, in the file `path`."""

    def __init__(self, path: Path, seed: int, image: str) -> None:
        """Read what is there. Raises UserError: it is no log of this seed."""
        self.path, self._seed, self._image = path, seed, image
        self.found: list[Seen] = []
        if not path.exists():
            return
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            if facts["seed"] != seed:
                raise ValueError(f"seed {facts['seed']}")
            found = [_seen(each) for each in facts["cuts"]]
            numbers = [seen.cut.number for seen in found]
            planned = campaign.plan(max(numbers), seed) if numbers else []
            if facts["image"] != image or [planned[number - 1] for number in numbers] != [seen.cut for seen in found]:
                path.replace(path.with_suffix(".old.json"))
                return
            self.found = found
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no log of seed {seed}: {error} (valid: delete it, or another seed)") from error

    def of(self, cuts: Sequence[Cut]) -> list[Seen]:
        """What it has of `cuts`."""
        wanted = set(cuts)
        return [seen for seen in self.found if seen.cut in wanted]

    def add(self, seen: Seen) -> None:
        """Keep one more cut's result."""
        self.found = sorted([*self.found, seen], key=lambda each: each.cut.number)
        report = campaign.report(self.found).splitlines()
        facts = {"seed": self._seed, "image": self._image, "report": report}
        facts["cuts"] = [asdict(each) for each in self.found]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}")
        partial.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        partial.replace(self.path)


def _seen(raw: dict[str, object]) -> Seen:
    cut, allowed = raw["cut"], raw["allowed"]
    if not isinstance(cut, dict) or not isinstance(allowed, list):
        raise TypeError(f"no cut: {raw}")
    return Seen(**{**raw, "cut": Cut(**cut), "allowed": (allowed[0], allowed[1])})  # type: ignore[arg-type]  # as written
