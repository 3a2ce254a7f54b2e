# SPDX-License-Identifier: MIT
"""Who commits an upgrade when nobody is there: the board, when it is healthy and still reaches the server.

A slot that hawkBit's client has installed is kept when `field-update` has found it healthy (all units up, the health
checks passed) and the server has answered over verified TLS: a version with which a board could never be upgraded
again is not kept. Until then it is asked again; at the deadline of the trial `field-update` goes back by itself. A
trial that a person has begun (`./inv deploy`) is left to that person.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from field_update import unattended

from hawkbit_client.configuration import TOKEN_KEYS, Settings, Unusable

RETRY_SECONDS = 10.0
COMMAND_SECONDS = 120
ANSWER_SECONDS = 20
HEADERS = {"target": "TargetToken", "gateway": "GatewayToken"}
assert HEADERS.keys() == TOKEN_KEYS.keys()  # noqa: S101  # of this module


class Board:
    """What the verdict needs of the board; tests have another one."""

    def status(self) -> dict[str, Any]:
        """`field-update status`. Raises Unusable."""
        try:
            found: dict[str, Any] = json.loads(self._run(["field-update", "status", "--json", "--wait", "60"]))
        except ValueError as error:
            raise Unusable(f"field-update status says nothing that can be used: {error}") from error
        return found

    def commit(self) -> None:
        """Keep the slot. Raises Unusable."""
        self._run(["field-update", "commit"])

    def mark(self) -> unattended.Mark | None:
        """What was installed without a person."""
        return unattended.marked()

    def answers(self, found: Settings, name: str, secret: str) -> str:
        """Why the server does not answer; an empty text when it does, whatever it says."""
        url = f"https://{found.server}/{found.tenant}/controller/v1/{name}"
        request = urllib.request.Request(url, headers={"Authorization": f"{HEADERS[found.token]} {secret}"})
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=ssl.create_default_context()):  # noqa: S310  # https, see above
                return ""
        except urllib.error.HTTPError as error:
            error.close()
            return f"the server answers with status {error.code}" if error.code >= 500 else ""
        except (OSError, ValueError) as error:
            return f"the server does not answer: {getattr(error, 'reason', error)}"

    def start(self) -> None:
        """Start hawkBit's client. Raises Unusable."""
        self._run(["systemctl", "--no-block", "restart", "rauc-hawkbit-updater.service"])

    def _run(self, argv: Sequence[str]) -> str:
        try:
            done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS)  # noqa: S603  # argv, no shell
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unusable(f"{' '.join(argv)}: {error}") from error
        if done.returncode:
            raise Unusable(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
        return done.stdout


def settle(board: Board, ask: Callable[[], str], say: Callable[[str], None], wait: Callable[[float], None]) -> None:
    """Return when nothing is on trial any more; what was installed without a person is committed on the way.

    `ask` says why the server does not answer, or nothing. Raises Unusable when the board does not say how it is.
    """
    said = ""
    while True:
        now = board.status()
        trial = now.get("trial")
        if trial is None and now.get("health") not in ("pending", "running"):
            return
        reason = "this boot is being judged"
        if trial is not None and trial["slot"] == now.get("booted") and now.get("health") == "passed":
            if board.mark() != (trial["slot"], trial["version"]):
                reason = f"slot {trial['slot']} is on trial by a person, who commits it or not"
            elif not (reason := ask()):
                board.commit()
                say(f"version {trial['version']} in slot {trial['slot']} is committed: healthy, and the server answers")
                continue
        elif trial is not None and trial["slot"] != now.get("booted"):
            reason = f"slot {trial['slot']} is to be tried at the next boot"
        if reason != said:
            said = reason
            say(f"waiting: {reason}")
        wait(RETRY_SECONDS)
