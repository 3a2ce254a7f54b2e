# SPDX-License-Identifier: MIT
"""Options of a chain of tasks: wrong input first, and what was said once holds for the tasks behind it."""

from __future__ import annotations

import pytest

from firmware.choice import Choice, Host, parse_host
from firmware.errors import UserError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text", ["", "a b", "host:", "host:0", "host:65536", "-x", "a@b@c", "host:22x", "@host", ",host", "gate,", "a,,b"]
)
def test_malformed_host_is_refused_with_what_is_valid(text: str) -> None:
    with pytest.raises(UserError, match=r"valid: name, name:port"):
        parse_host(text)


def test_unknown_engine_keeps_nothing_of_the_call() -> None:
    choice = Choice()
    with pytest.raises(UserError, match=r"unknown engine 'make' \(valid: debian, yocto\)"):
        choice.update(board="sockit", engine="make")
    assert choice.board.name == "de0-nano-soc"


def test_unknown_board_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"unknown board 'x' \(valid: de0-nano-soc"):
        Choice().update(board="x")


@pytest.mark.parametrize("given", [{"board": ""}, {"engine": ""}, {"host": ""}])
def test_empty_value_is_not_the_default(given: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"'' .*\(valid: "):
        Choice().update(**given)


@pytest.mark.parametrize(
    ("board", "said"),
    [
        ("sockit,", r"unknown board '' \(valid: "),
        ("sockit,x", r"unknown board 'x' \(valid: "),
        ("sockit,de10-nano,sockit", r"'sockit' stands twice in .* \(valid: each board once\)"),
    ],
)
def test_bad_list_of_boards_keeps_nothing(board: str, said: str) -> None:
    choice = Choice().update(board="de10-nano")
    with pytest.raises(UserError, match=said):
        choice.update(board=board)
    assert choice.board.name == "de10-nano"


def test_several_boards_are_refused_where_one_is_wanted() -> None:
    choice = Choice().update(board="sockit,de10-nano")
    assert [board.name for board in choice.boards] == ["sockit", "de10-nano"]
    with pytest.raises(UserError, match=r"one board is wanted here, not sockit,de10-nano \(valid: one of them"):
        _ = choice.board


def test_host_has_defaults() -> None:
    assert parse_host("board-7") == Host("board-7", 22, "operator")
    assert parse_host("me@10.0.0.7:2222") == Host("10.0.0.7", 2222, "me")


def test_jump_hosts_come_first() -> None:
    host = parse_host("me@gate:2222,inner,board-7:2022")
    assert host == Host("board-7", 2022, "operator", Host("inner", jump=Host("gate", 2222, "me")))
    assert parse_host(str(host)) == host
    assert str(parse_host("board-7")) == "operator@board-7:22"


def test_said_once_holds_for_the_chain() -> None:
    choice = Choice().update(board="sockit", host="board-7")
    choice.update()
    assert (choice.board.name, choice.host) == ("sockit", Host("board-7"))
