# SPDX-License-Identifier: MIT
"""Evidence and causes: a lost link is told from a lost board, and gathering it never fails a second time."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from firmware import evidence
from firmware.errors import TargetError, ToolError
from firmware.ssh import Result, Target, Unreachable
from firmware.verdict import Fault
from tests.acceptance.causes import Causes
from tests.acceptance.recorder import Recorder

pytestmark = pytest.mark.unit

LOST = Unreachable("board-7", "no answer")


class Board:
    """A target that answers from boot `boot`, or not."""

    def __init__(self, boot: str = "") -> None:
        """Empty: it does not answer."""
        self.boot = boot

    def boot_id(self) -> str:
        """Its boot."""
        if not self.boot:
            raise LOST
        return self.boot

    def run(self, command: list[str], **_: object) -> Result:
        """Every command but the journal says much."""
        if not self.boot:
            raise LOST
        if command[0] == "journalctl":
            raise TargetError("board-7", "took too long")
        return Result(0, "x" * (evidence.LIMIT + 1), "")

    def connect(self) -> None:
        """As boot_id."""
        self.boot_id()

    def close(self) -> None:
        """Nothing."""


def target(boot: str = "") -> Target:
    """It, as a Target."""
    return cast(Target, Board(boot))


@pytest.mark.parametrize(
    ("error", "now", "since", "whose", "said"),
    [
        (AssertionError("x"), "a", "", "board", ""),
        (TargetError("board-7", "no"), "a", "", "board", ""),
        (ToolError(["x"], 1, ""), "a", "", "suite", "ToolError in the test itself"),
        (KeyError("x"), "a", "", "suite", "KeyError"),
        (LOST, "", "", "link", "cable, power, or a hang"),
        (LOST, "a", "", "link", "the connection broke, the board did not"),
        (LOST, "b", "", "board", "rebooted by itself"),
        (LOST, "", "...\nKernel panic - not syncing", "board", "its console says 'Kernel panic'"),
    ],
)
def test_whose_fault_it_is(error: Exception, now: str, since: str, whose: Fault, said: str) -> None:
    found, why = evidence.fault(error, target(now), "a", since)
    assert found == whose
    assert said in why


def test_what_cannot_be_gathered_is_said_and_the_rest_is_gathered(tmp_path: Path) -> None:
    found = evidence.gather(target("a"), tmp_path / "no-console")
    assert found["journal"] == "not to be had: board-7: took too long"
    assert found["console"].startswith("not to be had: ")
    assert len(found["service"]) == evidence.LIMIT
    assert list(found) == ["console", *evidence.COMMANDS]


def test_lost_board_is_asked_once_only(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"x\r\n" * evidence.LIMIT)
    found = evidence.gather(target(), tmp_path / "console.log")
    assert list(found) == ["console", "units"]
    assert found["console"].endswith("x\nx\n")
    assert len(found["console"]) <= evidence.LIMIT


def test_dependants_are_blocked_by_the_first_cause() -> None:
    causes = Causes()
    assert causes.cause(["test_a", "test_b"]) == ""
    causes.failed("test_a[one]")
    causes.failed("test_a[two]")
    causes.blocked("test_b", "test_a[one]")
    assert causes.cause(["test_z", "test_b"]) == "test_a[one]"


def test_lost_board_blocks_until_it_answers_again() -> None:
    causes = Causes()
    causes.failed("test_a", lost=True)
    causes.failed("test_b", lost=True)
    assert causes.lost == "test_a"
    assert not causes.answers(target())
    assert causes.answers(target("a"))
    assert causes.lost == ""


def test_steps_are_nested_timed_and_say_which_failed() -> None:
    recorder = Recorder()

    def case() -> None:
        with recorder.step("outer"):
            with recorder.step("inner"):
                pass
            with recorder.step("bad"):
                raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        case()
    outer = recorder.steps[0]
    assert (outer.name, outer.failed) == ("outer", True)
    assert [(step.name, step.failed) for step in outer.steps] == [("inner", False), ("bad", True)]
    assert outer.seconds >= outer.steps[1].at >= outer.at
