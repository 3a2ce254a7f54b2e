# SPDX-License-Identifier: MIT
"""Files that a person writes: every mistake is told with file, key, value and what is valid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from firmware import yaml_file
from firmware.board import Strict
from firmware.errors import UserError

pytestmark = pytest.mark.unit


class Part(Strict):
    """With an alias, as a recipe's files."""

    source: Annotated[str, Field(alias="from")]
    bytes: int = 4


class Whole(Strict):
    """Parts in every way that they are held."""

    name: str
    one: Part | None = None
    many: list[Part] = []
    named: dict[str, Part] = {}


def load(folder: Path, text: str) -> Whole:
    """The model of a file with that text."""
    (folder / "file.yaml").write_text(text)
    return yaml_file.load(folder / "file.yaml", Whole)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"empty \(valid: keys and values: name, one, many, named\)"),
        ("- a", r"a list \(valid: keys and values: name"),
        ("name: [", r"(?s)no valid YAML: .*line 1"),
        ("name: a\nname: b", r"no valid YAML: key 'name' twice\n.*line 2, column 1"),
        ("name: a\none: {from: b, from: c}", r"key 'from' twice"),
        ("nam: a", r"name: missing key\n.*nam: unknown key \(valid: name, one, many, named\)"),
        ("name: a\none: {form: b}", r"one\.form: unknown key \(valid: from, bytes\)"),
        ("name: a\nmany: [{from: b}, {from: b, byte: 1}]", r"many\.1\.byte: unknown key \(valid: from, bytes\)"),
        ("name: a\nnamed: {x: {from: b, byte: 1}}", r"named\.x\.byte: unknown key \(valid: from, bytes\)"),
        ("name: a\none: 3", r"one: 0x3 \(3\) is not valid: keys and values \(valid: from, bytes\)"),
        (
            "name: a\none: {from: b, bytes: 1GiB}",
            r"one\.bytes: '1GiB' is not valid: .*, without a unit or quotes",
        ),
        ("name: 1", r"name: 0x1 \(1\) is not valid: Input should be a valid string"),
    ],
)
def test_mistake_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "file.yaml"))


def test_what_is_right_is_read(tmp_path: Path) -> None:
    found = load(tmp_path, "name: a\none: &x {from: b, bytes: 0x10}\nmany: [*x, {<<: *x, bytes: 1}]\n")
    assert found.one == found.many[0]
    assert (found.many[1].source, found.many[1].bytes) == ("b", 1)
