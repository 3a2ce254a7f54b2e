# SPDX-License-Identifier: MIT
"""`./inv deploy --fleet=fleet.yaml`: one bundle to many boards, in waves, with one table and one JSON of results.

The bundle is inspected once; then each board has its own deploy, in a thread, with its own log. What is known so far is
in `build/reports/fleet.json` at any time: begun again, boards that have the bundle already are left alone (unless it is
forced on them), the others are tried again. The boards' logs are beside it, in `fleet/`. Ctrl-C ends what is under way
in an orderly manner and begins nothing more; once more, it leaves the boards alone: they go back, or wait for the next
`deploy`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from firmware import deploy, fleet, paths
from firmware.board import STREAM_PORT
from firmware.choice import Host
from firmware.crew import Crew
from firmware.deploy import Offer, Plan
from firmware.errors import FirmwareError, TargetError
from firmware.fleet import Fleet, Member
from firmware.reach import Reach
from firmware.ssh import Target
from firmware.transfer import Say, show

REPORT = paths.BUILD / "reports" / "fleet.json"
GOOD = ("committed", "unchanged", "checked")

Accept = Callable[[Reach], None]
Reacher = Callable[[Member], Target]


@dataclass(frozen=True)
class Result:
    """How it went with one board: `action` is deploy's, or `failed`, `waiting`; `seconds` is what it took.

    `boot_loader`: it has the version's SPL and U-Boot, too.
    """

    name: str
    group: str
    wave: int
    action: str = "waiting"
    slot: str = ""
    version: str = ""
    reason: str = ""
    seconds: float = 0.0
    boot_loader: bool = False

    @property
    def good(self) -> bool:
        """Whether the board has what it should have."""
        return self.action in GOOD


class Rollout:
    """One bundle on its way to a fleet."""

    def __init__(self, found: Fleet, offer: Offer, reach: Reacher, report: Path = REPORT, say: Say = show) -> None:
        """`reach` gives the SSH target of a board; results go to `report`."""
        self._fleet, self._offer, self._reach, self._report, self._say = found, offer, reach, report, say
        self._lock = threading.Lock()
        self.results: dict[str, Result] = {}
        self._logs = report.with_suffix("")
        self._logs.mkdir(parents=True, exist_ok=True)

    def run(self, chosen: Sequence[Member], accept: Accept | None = None, plan: Plan = deploy.PLAN) -> None:
        """Bring the bundle to the boards. Raises TargetError when not all of them have it at the end."""
        deploy.check_bundle(self._offer)
        done = {} if plan.force else self._known(plan.boot_loader)
        plans = fleet.waves(self._fleet, list(chosen))
        for number, wave in enumerate(plans):
            for member in wave:
                before = done.get(member.name)
                self.results[member.name] = before or Result(member.name, member.group, number)
        for number, wave in enumerate(plans):
            self._wave(number, [member for member in wave if member.name not in done], accept, plan)
            tried = [result for result in self.results.values() if result.action != "waiting"]
            reason = fleet.stopped(self._fleet, number, len(tried), sum(not result.good for result in tried))
            if reason and number + 1 < len(plans):
                self._say(f"no further wave begins: {reason}")
                break
        self._write()
        self._say(table(list(self.results.values())))
        if bad := [result.name for result in self.results.values() if not result.good]:
            raise TargetError(f"{len(bad)} of {len(self.results)} boards", f"do not run it; results: {self._report}")

    def _wave(self, number: int, wave: Sequence[Member], accept: Accept | None, plan: Plan) -> None:
        if not wave:
            return
        self._say(f"wave {number}: {', '.join(member.name for member in wave)}")
        crew = Crew(lambda member: self._board(member, number, accept, plan), wave, self._fleet.concurrency)
        try:
            for result in crew.results():
                self._tell(result)
        except BaseException:
            names = ", ".join(member.name for member in crew.stop())
            self._say(f"no further board is begun; waited for: {names or 'none'} (Ctrl-C leaves them alone)")
            for result in crew.rest():
                self._tell(result)
            raise

    def _tell(self, result: Result) -> None:
        self._say(f"  {result.name}: {result.action} {result.reason}".rstrip())

    def _board(self, member: Member, wave: int, accept: Accept | None, plan: Plan) -> Result:
        started = time.monotonic()
        result = Result(member.name, member.group, wave)
        with (self._logs / f"{member.name}.log").open("a", encoding="utf-8") as log:

            def say(text: str) -> None:
                log.write(f"{time.monotonic() - started:8.1f} {text}\n")
                log.flush()

            try:
                with self._reach(member) as target:
                    found = Reach(target, (member.host.name, STREAM_PORT))
                    check = (lambda: accept(found)) if accept else None
                    outcome = deploy.deploy(target, self._offer, check, plan, say)
                renewed = plan.boot_loader and outcome.action in ("committed", "unchanged")
                result = replace(result, **asdict(outcome), boot_loader=renewed)
            except FirmwareError as error:
                say(str(error))
                result = replace(result, action="failed", reason=str(error).splitlines()[0])
            except Exception as error:  # one board's surprise is not the others'
                say(repr(error))
                result = replace(result, action="failed", reason=repr(error))
        result = replace(result, seconds=round(time.monotonic() - started, 1))
        with self._lock:
            self.results[member.name] = result
            self._write()
        return result

    def _known(self, boot_loader: bool) -> dict[str, Result]:
        """Boards that an earlier run has brought this very bundle to, and its `boot_loader` if that is wanted."""
        try:
            earlier = json.loads(self._report.read_text(encoding="utf-8"))
            if earlier["sha256"] != self._offer.sha256:
                return {}
            found = [Result(**each) for each in earlier["boards"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        kept = [each for each in found if each.action in ("committed", "unchanged")]
        return {each.name: each for each in kept if each.boot_loader or not boot_loader}

    def _write(self) -> None:
        facts: dict[str, Any] = {"version": self._offer.version, "sha256": self._offer.sha256}
        facts["boards"] = [asdict(result) for result in self.results.values()]
        partial = self._report.with_name(f".{self._report.name}")
        partial.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._report)


def table(results: Sequence[Result]) -> str:
    """All results, for a person."""
    width = max([len(result.name) for result in results], default=0)
    lines = [
        f"{each.name:{width}} {each.group:12} {each.wave:4} {each.action:10} {each.slot:4} {each.version:24} "
        f"{each.seconds:7.1f} s  {each.reason}".rstrip()
        for each in results
    ]
    counts = ", ".join(
        f"{sum(each.action == action for each in results)} {action}" for action in sorted({r.action for r in results})
    )
    return "\n".join([*lines, counts])


def reacher(accept_host_key: str | None = None) -> Reacher:
    """How boards are reached: directly, or through their group's jump host, which they share."""
    jumps: dict[Host, Target] = {}

    def reach(member: Member) -> Target:
        jump = None
        if member.jump:
            jump = jumps.setdefault(member.jump, Target(member.jump.name, member.jump.port, member.jump.user))
        host = member.host
        return Target(host.name, host.port, host.user, accept_host_key=accept_host_key, jump=jump)

    return reach
