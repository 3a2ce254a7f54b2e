# SPDX-License-Identifier: MIT
"""What a bundle is on a hawkBit server (Management API, v1), each made only when it is not there yet.

    software module     the board's RAUC compatible and the bundle's version, of a type that the server has
      artifact          the bundle's file; the server is told its SHA-256, and what it answers is compared
    distribution set    the same name and version, with that module: what boards are assigned

A thing that is there but is another one is an error, never changed: boards may have got it already.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware.errors import TargetError
from firmware.hawkbit_catalogue import Catalogue, Thing
from firmware.hawkbit_upload import Form

MODULES, SETS = "/softwaremodules", "/distributionsets"


@dataclass(frozen=True)
class Software:
    """What is published: `name` and `version` of module and set, their types' keys, the file and its hash."""

    name: str
    version: str
    file: Path
    sha256: str
    description: str
    module_type: str = "os"
    set_type: str = "os"


class Hawkbit:
    """One bundle on one server."""

    def __init__(self, catalogue: Catalogue, wanted: Software) -> None:
        """Nothing is asked yet."""
        self._catalogue, self.wanted = catalogue, wanted

    def check_types(self) -> None:
        """Raise UserError when the server lacks the type of a thing that is to be made; before anything is sent."""
        if not self.find_module():
            self._catalogue.require_type("/softwaremoduletypes", self.wanted.module_type, "--module-type")
        if not self.find_set():
            self._catalogue.require_type("/distributionsettypes", self.wanted.set_type, "--set-type")

    def find_module(self) -> Thing | None:
        """The software module, or None. Raises TargetError: it is of another type."""
        found = self._catalogue.find(MODULES, self.wanted.name, self.wanted.version)
        if found and found.get("type") != self.wanted.module_type:
            raise self._other(f"a software module of type {found.get('type')!r}", f"--module-type={found.get('type')}")
        return found

    def module(self) -> Thing:
        """The software module, made when there is none."""
        return self.find_module() or self._catalogue.make(MODULES, self._named(self.wanted.module_type))

    def find_artifact(self, module: Thing) -> Thing | None:
        """The bundle's artifact, or None. Raises TargetError: the version is there with another file."""
        there = self._catalogue.things(self._catalogue.session.get(f"{MODULES}/{module['id']}/artifacts"))
        for each in there:
            if (_sha256(each), each.get("providedFilename")) == (self.wanted.sha256, self.wanted.file.name):
                return each
        if there:
            found = ", ".join(f"{each.get('providedFilename')} {_sha256(each) or '(no hash)'}" for each in there)
            wanted = f"{self.wanted.file.name} {self.wanted.sha256}"
            raise self._other(f"with {found}, not {wanted}", "that very file, or a build of another version")
        return None

    def upload(self, module: Thing) -> Thing:
        """The artifact, made of the bundle's file. Raises TargetError: what the server has got is another thing."""
        place, say = f"{MODULES}/{module['id']}/artifacts", self._catalogue.say
        say(f"uploading {self.wanted.file} to {self._catalogue.host}")
        form = Form(self.wanted.file, say)
        try:
            names = {"filename": self.wanted.file.name, "sha256sum": self.wanted.sha256}
            made = self._catalogue.things([self._catalogue.session.upload(place, form, **names)])[0]
        finally:
            form.close()
        if (_sha256(made), made.get("size")) != (self.wanted.sha256, form.size):
            self._catalogue.session.delete(f"{place}/{made['id']}")  # no board must get it
            got, sent = f"{made.get('size')} bytes, SHA-256 {_sha256(made)}", f"{form.size}, {self.wanted.sha256}"
            raise TargetError(self._catalogue.host, f"has got {got} (sent: {sent}); it was taken away again")
        say(f"  {form.facts().strip()}; the server has SHA-256 {self.wanted.sha256}")
        return made

    def find_set(self) -> Thing | None:
        """The distribution set, or None. Raises TargetError: it is of another type."""
        found = self._catalogue.find(SETS, self.wanted.name, self.wanted.version)
        if found and found.get("type") != self.wanted.set_type:
            raise self._other(f"a distribution set of type {found.get('type')!r}", f"--set-type={found.get('type')}")
        return found

    def set(self, module: Thing) -> Thing:
        """The distribution set with exactly that module, made when there is none. Raises TargetError."""
        found = self.find_set()
        if not found:
            body = self._named(self.wanted.set_type) | {"modules": [{"id": module["id"]}]}
            found = self._catalogue.make(SETS, body | {"requiredMigrationStep": False})
        if (modules := [each.get("id") for each in found.get("modules") or []]) != [module["id"]]:
            raise self._other(f"a distribution set with modules {modules}", f"one with module {module['id']} alone")
        if found.get("complete") is False:
            raise self._other("an incomplete distribution set", f"--set-type of one that {module['type']} completes")
        if found.get("valid") is False:
            raise self._other("a distribution set that was invalidated", "a build of another version")
        return found

    def _other(self, what: str, valid: str) -> TargetError:
        wanted = self.wanted
        return TargetError(self._catalogue.host, f"{wanted.name} {wanted.version} is there, {what} (valid: {valid})")

    def _named(self, type_: str) -> Thing:
        wanted = self.wanted
        return {"name": wanted.name, "version": wanted.version, "type": type_, "description": wanted.description}


def _sha256(artifact: Thing) -> str:
    hashes = artifact.get("hashes")
    return str(hashes.get("sha256") or "").lower() if isinstance(hashes, dict) else ""
