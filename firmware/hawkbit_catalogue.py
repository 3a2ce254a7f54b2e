# SPDX-License-Identifier: MIT
"""The lists that a hawkBit server keeps: look a thing up by its name, and make it when it is not there.

Searches are narrowed by the server (its query language, RSQL) and decided here: its `==` ignores case and knows
wildcards, and what was deleted may be shown still. Two who publish at once make a thing once.
"""

from __future__ import annotations

from typing import Any

from firmware.errors import TargetError, UserError
from firmware.hawkbit_http import Conflict, Json, Session
from firmware.transfer import Say

PAGE = 500
ROLLOUTS = "/rollouts"

Thing = dict[str, Any]


class Catalogue:
    """What is on one server; what is made is told to `say`."""

    def __init__(self, session: Session, say: Say) -> None:
        """Nothing is asked yet."""
        self.session, self.say = session, say

    @property
    def host(self) -> str:
        """The server, as messages call it."""
        return self.session.host

    def find(self, path: str, name: str, version: str | None = None) -> Thing | None:
        """The thing of exactly that name (and version), or None."""
        query = f"name=={quoted(name)}" + ("" if version is None else f";version=={quoted(version)}")
        for each in self._content(self.session.get(path, q=query, limit=PAGE)):
            same = each.get("name") == name and version in (None, each.get("version"))
            if same and not each.get("deleted"):
                return each
        return None

    def make(self, path: str, body: Thing) -> Thing:
        """Make a thing that `find` did not find. Raises TargetError: the server refuses it."""
        single = path == ROLLOUTS  # the others are made by the list
        try:
            made = self.session.post(path, body if single else [body])
        except Conflict:  # somebody was quicker
            if found := self.find(path, body["name"], body.get("version")):
                return found
            # a deleted one keeps its name as long as boards have it
            raise Conflict(
                self.host,
                f"refuses {path.strip('/')} {body['name']} {body.get('version', '')} as there already, but shows none "
                "(valid: another version, or a user who may read it)",
            ) from None
        self.say(f"made: {path.strip('/')} {body['name']} {body.get('version', '')}".rstrip())
        return self.things([made] if single else made)[0]

    def require_type(self, path: str, key: str, option: str) -> None:
        """Raise UserError unless the server has the type `key`."""
        keys = [str(each.get("key")) for each in self._content(self.session.get(path, limit=PAGE))]
        if key not in keys:
            raise UserError(f"{option}: {self.host} has no type {key!r} (valid: {', '.join(keys) or 'none'})")

    def things(self, found: Json) -> list[Thing]:
        """A list from the server. Raises TargetError: it is none, or a thing in it has no id."""
        if not isinstance(found, list) or not all(isinstance(each, dict) and "id" in each for each in found):
            raise TargetError(self.host, "answers with something that is no list of things: is it a hawkBit server?")
        return found

    def _content(self, page: Json) -> list[Thing]:
        return self.things(page.get("content") if isinstance(page, dict) else None)


def quoted(text: str) -> str:
    """A text in RSQL: in quotes, so that no sign in it means anything."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
