# SPDX-License-Identifier: MIT
"""What the pages tell a person to type is what the programs take, and what they point to is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from captured import ctl
from cyclone_capture import cli
from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser

import tasks
from firmware import paths

pytestmark = pytest.mark.unit
PAGES = [paths.ROOT / "README.md", *sorted((paths.ROOT / "docs").glob("*.md"))]
MADE_LATER = ("build/", "recipes/blinker", "board/mine.")


def commands(text: str, program: str) -> list[list[str]]:
    """Words behind `program` in code, in blocks and within lines; what is optional counts, comments do not."""
    before = r"(?:\$ )?(?:sudo )?(?:[A-Z_]+=\S+ )?"
    found = re.findall(rf"`{before}{program}((?: [^`]*)?)`", text)
    found += re.findall(rf"^    {before}{program}((?: .*)?)$", text, re.MULTILINE)
    lines = [re.sub(r"[\[\]]", "", line.partition(" #")[0]) for line in found]
    return [[word for word in shlex.split(line) if word not in ("...", "|")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tasks_and_options_are_those_of_inv(page: Path) -> None:
    for words in commands(page.read_text(), r"\./inv"):
        own = [word for word in words if word not in ("--setup", "--list", "--help", "TASK")]
        try:
            Parser(contexts=Collection.from_module(tasks).to_contexts()).parse_argv(own)
        except ParseError as error:
            if len(own) != 1 or "required positional" not in str(error):  # just its name
                raise AssertionError(f"./inv {shlex.join(words)}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    text = page.read_text()
    folders = "|".join(sorted(path.name for path in paths.ROOT.iterdir() if path.is_dir()))
    named = re.findall(rf"`((?:{folders})/[\w./*-]+)`", text)
    named += [f"docs/{name}" for name in re.findall(r"\bdocs/(\w[\w-]*\.md)", text)]
    named += [str((page.parent / link).relative_to(paths.ROOT)) for link in re.findall(r"\]\(([\w./-]+\.md)\)", text)]
    wanted = {name for name in named if not name.startswith(MADE_LATER) and "..." not in name}
    assert {name for name in wanted if not list(paths.ROOT.glob(name.rstrip("/")))} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_capturectl_and_cyclone_capture_take_their_options(page: Path) -> None:
    for program, parser in (("capturectl", ctl._parser()), ("cyclone-capture", cli._parser())):
        for words in commands(page.read_text(), program):
            if words and not words[0].isupper():
                filled = ["7700" if word == "PORT" else word for word in words]
                try:
                    parser.parse_args(filled)
                except SystemExit as error:
                    raise AssertionError(f"{program} {shlex.join(words)}") from error


def test_commands_are_found() -> None:
    text = "so `./inv a --b` and `X=1 ./inv c`, not `./invalid`\n\n    ./inv d [--e]   # f\n"
    text += "    $ sudo ./inv g | h\n    no ./inv i\n"
    assert commands(text, r"\./inv") == [["a", "--b"], ["c"], ["d", "--e"], ["g", "h"]]
    assert sum(len(commands(page.read_text(), r"\./inv")) for page in PAGES) > 80
