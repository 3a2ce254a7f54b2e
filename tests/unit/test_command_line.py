# SPDX-License-Identifier: MIT
"""Wrong words on the command line: one message with what is valid, exit status 2, and no task has begun."""

from __future__ import annotations

import re

import pytest
from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import ParseError
from invoke.tasks import task

import tasks
from firmware import command_line
from firmware.command_line import Checked

pytestmark = pytest.mark.unit
ran: list[tuple[str, str | None, int]] = []


def namespace() -> Collection:
    """Two tasks, made anew: Invoke takes a task's help out of it when it reads its options."""

    @task(klass=Checked, auto_shortflags=False, help={"device": "the card"})
    def write(_context: Context, device: str, board: str | None = None, times: int = 1) -> None:
        """Write."""
        ran.append((device, board, times))

    @task(klass=Checked, auto_shortflags=False)
    def look(_context: Context, share: float = 0.5) -> None:
        """Look."""
        ran.append(("look", None, int(share * 100)))

    return Collection(write, look)


def call(*words: str) -> int:
    """Exit status of the program with the two tasks."""
    ran.clear()
    with pytest.raises(SystemExit) as caught:
        command_line.program(namespace=namespace()).run(["./inv", *words])
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wriet"], "unknown task 'wriet' (valid: look, write)"),
        (["look", "wriet"], "unknown task 'wriet' (valid: look, write)"),
        (["--help", "wriet"], "unknown task 'wriet' (valid: look, write)"),
        (["look", "--shar=1"], "look: unknown option '--shar' (valid: --share)"),
        (["write", "x", "--shar=1"], "write: unknown option '--shar' (valid: --board, --device, --times)"),
        (["write", "--devcie=x"], "--device: no value, but '--devcie' (valid: --device=VALUE, or leave it out)"),
        (["--frob"], "unknown option '--frob' (valid: ./inv --help tells)"),
        (["write"], "write: --device is missing (valid: the card)"),
        (["write", "--device"], "write: --device: no value (valid: --device=VALUE)"),
        (["write", "--device="], "--device: no value (valid: --device=VALUE, or leave it out)"),
        (["write", "--device=x", "--board="], "--board: no value (valid: --board=VALUE, or leave it out)"),
        (
            ["write", "--device=x", "--board", "--times=2"],
            "--board: no value, but '--times=2' (valid: --board=VALUE, or leave it out)",
        ),
        (["write", "--device=x", "--times=two"], "--times: 'two' (valid: a whole number)"),
        (["write", "--device=x", "--times=1.5"], "--times: '1.5' (valid: a whole number)"),
        (["look", "--share=half"], "--share: 'half' (valid: a number)"),
        (["--list", "write"], "Sub-collection 'write' not found! (valid: ./inv --list, ./inv --help TASK)"),
        (["-T", "soon", "look"], "invalid literal for int() with base 10: 'soon' (valid: ./inv --help)"),
    ],
)
def test_wrong_words_are_one_message(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words) == 2
    assert capsys.readouterr().err == f"error: {said}\n"
    assert ran == []


def test_no_words_list_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    assert re.findall(r"^  (\w+)", capsys.readouterr().out, re.MULTILINE) == ["look", "write"]


def test_right_words_run_the_tasks() -> None:
    command_line.program(namespace=namespace()).run(
        ["./inv", "look", "--share=0.25", "write", "--device=x", "--board=b", "--times", "3"]
    )
    assert ran == [("look", None, 25), ("x", "b", 3)]


def test_no_task_of_ours_takes_an_empty_value_or_a_word_for_a_number() -> None:
    every = Collection.from_module(tasks).to_contexts()
    assert {"deploy", "verify-image"} <= {one.name for one in every}
    for context in every:
        for option in context.args.values():
            wrong = {str: "", int: "x", float: "x"}.get(option.kind)
            if wrong is not None:
                with pytest.raises(ParseError, match=r"valid: "):
                    option.set_value(wrong)
