# SPDX-License-Identifier: MIT
"""Mutation test of the first tier: of the mistakes in `mutations.py`, which are caught, and by which part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import board as boards
from firmware import lint
from tests.golden import tier_one
from tests.golden.mutations import MUTATIONS, Mutation
from tests.golden.tier_one import Tree

pytestmark = pytest.mark.golden

LEAST = 24  # of the 28 that the first tier must catch
UNTOUCHED = "untouched"


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """What parser, lint and gates say of each mutation, by its name."""
    folder = tmp_path_factory.mktemp("mutations")
    trees: dict[str, Tree] = {}
    changed: dict[str, Path] = {}
    for name, mutation in [(UNTOUCHED, None), *((mutation.name, mutation) for mutation in MUTATIONS)]:
        trees[name] = tier_one.plant(folder / name, boards.DEFAULT_BOARD)
        if mutation is not None:
            changed[name] = mutation.make(trees[name])
    parsed = tier_one.parse(trees, folder)
    linted = lint.findings(path for path in changed.values() if path.suffix == ".bb")
    return {
        name: {
            "parser": [said for one in parsed[name].values() for said in one["errors"]],
            "lint": [line for line in linted if line.startswith(f"{tree.folder}/")],
            "gates": tree.violations(parsed[name]),
        }
        for name, tree in trees.items()
    }


def test_what_is_right_is_let_through(caught: dict[str, dict[str, list[str]]]) -> None:
    assert caught[UNTOUCHED] == {"parser": [], "lint": [], "gates": []}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_is_caught(caught: dict[str, dict[str, list[str]]], mutation: Mutation) -> None:
    said = caught[mutation.name]
    if mutation.first is None:
        assert not any(said.values()), said
    else:
        part, word = mutation.first
        assert word in "\n".join(said[part]), said


def test_first_tier_catches_most(caught: dict[str, dict[str, list[str]]]) -> None:
    assert len(MUTATIONS) >= 28
    assert sum(any(said.values()) for name, said in caught.items() if name != UNTOUCHED) >= LEAST
