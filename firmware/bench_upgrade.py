# SPDX-License-Identifier: MIT
"""Figures of `./inv bench` about upgrades: bad bundles that were offered and taken, and a hundred boards at once.

The hundred are SSH servers that speak the protocol (`firmware/simulated_boards.py`), in a process of their own.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from firmware import bad_bundles, engine, fleet, identity, inspection, manifest, signing, simulated_boards
from firmware.bad_bundles import Workshop
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.deploy import Offer
from firmware.fleet import Fleet, Member
from firmware.fleet_rollout import Rollout
from firmware.known_hosts import KnownHosts
from firmware.simulated_boards import Settings
from firmware.ssh import Target

BOARDS = 100


def bad(choice: Choice) -> dict[str, float]:
    """Offer every kind of bad bundle, made from the built one, to the check that `deploy` makes."""
    good = manifest.load_built(choice.board.name, "debian").path("bundle")
    with tempfile.TemporaryDirectory(prefix="bad-bundles-") as folder:
        tried, accepted = bad_bundles.offer_all(Workshop(engine.bundle_inputs(choice.board), good, Path(folder)))
    for name in accepted:
        print(f"  taken: {name}")
    return {"bad_bundles_tried": tried, "bad_bundles_accepted": len(accepted)}


def simulated(folder: Path, offer: Offer, keyring: str, count: int, settings: dict[str, float]) -> tuple[float, float]:
    """Deploy to `count` simulated boards, all at once: wall seconds, and this process's greatest memory, in MiB."""
    key, known = identity.new_key(), KnownHosts(folder / f"known_hosts_{count}")
    known.pin("simulated", key.public)
    login = identity.public_of(identity.user_key())
    made = Settings(key.private, key.public, login, offer.board, "0.0.1", keyring, **settings)
    with simulated_boards.running(made, count) as ports:
        hosts = [f"127.0.0.1:{port}" for port in ports]
        facts = {"board": offer.board, "canaries": 0, "wave": count, "concurrency": count}
        found = Fleet.model_validate({**facts, "groups": {"all": {"hosts": hosts}}})

        def reach(member: Member) -> Target:
            return Target(member.host.name, member.host.port, known=known)

        run = Rollout(found, offer, reach, folder / f"fleet-{count}.json", lambda _text: None)
        started = time.monotonic()
        run.run(fleet.members(found))
        seconds = time.monotonic() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hundred(choice: Choice) -> dict[str, float]:
    """One simulated board, then a hundred, with the built bundle."""
    offer = Offer.of(manifest.load_built(choice.board.name, "debian"))
    keyring = signing.chosen().authority.read_text(encoding="utf-8")
    inspection.inspect_once(offer.bundle, keyring, offer.sha256)  # once for both: neither has it in its time
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        one, _ = simulated(Path(folder), offer, keyring, 1, {})
        all_, mib = simulated(Path(folder), offer, keyring, BOARDS, {})
    return {"fleet100_vs_one_ratio": all_ / one, "fleet100_s": all_, "fleet100_mib": mib}


GROUPS = (
    Group(
        {
            "bad_bundles_tried": Figure("bundles", "kinds of bad bundles, made from the built one, offered to deploy"),
            "bad_bundles_accepted": Figure(
                "bundles", "of these, taken, or refused for another reason than they should"
            ),
        },
        bad,
        long=True,
    ),
    Group(
        {
            "fleet100_vs_one_ratio": Figure("ratio", "a hundred simulated boards at once against one alone (35 s)"),
            "fleet100_s": Figure("s", "the hundred"),
            "fleet100_mib": Figure("MiB", "memory of the process that upgrades them"),
        },
        hundred,
        long=True,
    ),
)
