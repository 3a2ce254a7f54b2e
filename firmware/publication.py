# SPDX-License-Identifier: MIT
"""Publication: what `./inv publish` does. The built, signed bundle goes to an Eclipse hawkBit server.

First everything that needs no server is checked: options, credentials, and the bundle, as `./inv deploy` checks it
before an upload, by the keyring that goes into the slots. Then each thing is made that the server has not
(`firmware/hawkbit.py`): the same command again makes nothing twice, and goes on where it was broken off. Boards are
assigned nothing unless a target filter names them; the roll-out is then prepared, and started with `--start`.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware import deploy, fit, hawkbit_access, hawkbit_rollout, rollout, signing
from firmware.choice import Choice
from firmware.deploy import Offer
from firmware.errors import UserError
from firmware.hawkbit import Hawkbit, Software
from firmware.hawkbit_catalogue import Catalogue
from firmware.hawkbit_http import Session
from firmware.hawkbit_rollout import Waves
from firmware.transfer import MIB, Say, show


@dataclass(frozen=True)
class Wish:
    """Options of `./inv publish`; without `waves` nothing is rolled out."""

    server: str = ""
    credentials: str | None = None
    ca_file: str | None = None
    module_type: str = "os"
    set_type: str = "os"
    waves: Waves | None = None
    start: bool = False
    dry_run: bool = False
    downgrade: bool = False


def run(choice: Choice, wish: Wish, say: Say = show) -> None:
    """Publish the built bundle of `choice`. Raises UserError, TargetError."""
    own = choice.board.hawkbit
    server = hawkbit_access.server(wish.server or (f"https://{own.server}" if own else ""))
    if wish.waves:
        wish.waves.check()
    elif wish.start:
        raise UserError("--start: nothing is rolled out (valid: with --target-filter=QUERY)")
    verify = hawkbit_access.certificates(wish.ca_file)
    who = hawkbit_access.credentials(wish.credentials)
    offer = rollout.offered(choice, wish.downgrade)
    deploy.check_bundle(offer)
    deploy.check_content(offer, signing.chosen().authority.read_text(encoding="utf-8"))
    wanted = software(offer, choice.board.title, wish)
    with Session(server, who, verify) as session:
        publish(Catalogue(session, say), wanted, wish)


def software(offer: Offer, description: str, wish: Wish) -> Software:
    """What the bundle is called on the server: by RAUC's compatible, as boards name themselves."""
    name, kinds = fit.compatible_name(offer.board), (wish.module_type, wish.set_type)
    return Software(name, offer.version, offer.bundle, offer.sha256, description, *kinds)


def publish(catalogue: Catalogue, wanted: Software, wish: Wish) -> None:
    """Make what is not there. Raises TargetError: the server has something else under that name."""
    host, hawkbit = catalogue.host, Hawkbit(catalogue, wanted)
    hawkbit.check_types()
    if wish.dry_run:
        missing = absent(hawkbit)
        catalogue.say(f"{host} would get: {missing}" if missing else f"{host} has all of {wanted.version} already")
        return
    module = hawkbit.module()
    if hawkbit.find_artifact(module):
        catalogue.say(f"{host} has {wanted.file.name} already, SHA-256 {wanted.sha256}")
    else:
        hawkbit.upload(module)
    assigned = hawkbit.set(module)
    catalogue.say(f"{host}: {wanted.name} {wanted.version} is distribution set {assigned['id']}")
    if wish.waves:
        found = hawkbit_rollout.prepare(catalogue, assigned, wish.waves)
        if wish.start:
            found = hawkbit_rollout.start(catalogue, found)
        catalogue.say(f"{host}: {hawkbit_rollout.told(found)}")


def absent(hawkbit: Hawkbit) -> str:
    """What the server lacks, in words; empty when it has all. Nothing is changed."""
    wanted, module = hawkbit.wanted, hawkbit.find_module()
    missing = [] if module else [f"software module {wanted.name} {wanted.version}"]
    if not (module and hawkbit.find_artifact(module)):
        missing.append(f"{wanted.file.name} ({wanted.file.stat().st_size / MIB:.1f} MiB)")
    if not hawkbit.find_set():
        missing.append("distribution set")
    return ", ".join(missing)
