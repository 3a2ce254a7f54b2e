# SPDX-License-Identifier: MIT
"""Kconfig fragments: merged on top of a defconfig, then asserted on the `.config` that came out.

Kconfig drops a line without a word when the symbol was renamed or lacks a dependency; the image would then boot
without a watchdog, or not at all. So every line of every fragment is looked up in the finished `.config`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

from firmware.errors import UserError

_SET = re.compile(r"^(CONFIG_\w+)=(.+)$")
_UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")


def parse(text: str) -> dict[str, str | None]:
    """Symbols of a fragment or a `.config`; None means "is not set". The last line about a symbol counts."""
    symbols: dict[str, str | None] = {}
    for line in text.splitlines():
        if match := _SET.match(line.rstrip()):
            symbols[match[1]] = match[2]
        elif match := _UNSET.match(line.rstrip()):
            symbols[match[1]] = None
    return symbols


def merge(base: str, fragments: Iterable[str]) -> str:
    """`base` with `fragments` behind it: Kconfig takes the last line about a symbol."""
    return "\n".join([base.rstrip("\n"), *(fragment.rstrip("\n") for fragment in fragments), ""])


def lost(config: str, fragments: Mapping[str, str], without: Container[str] = ()) -> list[str]:
    """What did not take effect in `config`, one line a symbol; `fragments` are texts by name, later ones win.

    Symbols in `without` do not count.
    """
    wanted: dict[str, tuple[str, str | None]] = {}
    for name, text in fragments.items():
        for symbol, value in parse(text).items():
            wanted[symbol] = (name, value)
    have = parse(config)

    def shown(value: str | None) -> str:
        return "is not set" if value is None else value

    return [
        f"{symbol}: {name} wants {shown(value)}, the result is {shown(have.get(symbol))}"
        for symbol, (name, value) in sorted(wanted.items())
        if symbol not in without and not same(have.get(symbol), value)
    ]


def same(one: str | None, other: str | None) -> bool:
    """Whether two values mean the same; numbers may be written in different ways, "n" is "is not set"."""
    if one == other or {one, other} == {None, "n"}:
        return True
    try:
        return one is not None and other is not None and int(one, 0) == int(other, 0)
    except ValueError:
        return False


def require(what: str, config: str, fragments: Mapping[str, str]) -> None:
    """Raise UserError that names every symbol of `fragments` that did not take effect in `config`."""
    if missing := lost(config, fragments):
        raise UserError(
            f"{what}: these lines of the configuration did not take effect (valid: symbols that this version has, with "
            "all that they depend on):\n" + "\n".join(f"    {line}" for line in missing)
        )
