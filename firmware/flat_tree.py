# SPDX-License-Identifier: MIT
"""A flattened device tree, parsed: nodes by path, each with its properties (Devicetree Specification, chapter 5)."""

from __future__ import annotations

import struct
from pathlib import PurePosixPath

from firmware.errors import UserError

MAGIC = 0xD00DFEED
BEGIN_NODE, END_NODE, PROPERTY, NOTHING, END = 1, 2, 3, 4, 9
_HEADER = struct.Struct(">10I")  # magic, total size, offsets of nodes and strings, ...

Properties = dict[str, bytes]
Tree = dict[str, Properties]


def parse(content: bytes) -> Tree:
    """Properties by path of node, `/` first. Raises UserError: no tree, or one that is cut off."""
    try:
        magic, total, at, strings = _HEADER.unpack_from(content)[:4]
        if magic != MAGIC or total > len(content):
            seen = f"{magic:#010x}, {len(content)} of {total} bytes"
            raise UserError(f"no device tree: {seen} (valid: {MAGIC:#010x}, all of it)")
        return _nodes(content, at, strings)
    except (struct.error, IndexError, ValueError) as error:
        raise UserError(f"no whole device tree: {error} (valid: one that dtc made)") from error


def _nodes(content: bytes, at: int, strings: int) -> Tree:
    tree: Tree = {}
    path = PurePosixPath("/")
    while True:
        (token,) = struct.unpack_from(">I", content, at)
        at += 4
        if token == BEGIN_NODE:
            name = _text(content, at)
            at += (len(name) + 4) & ~3
            path = path / name
            tree[str(path)] = {}
        elif token == END_NODE:
            path = path.parent
        elif token == PROPERTY:
            size, name_at = struct.unpack_from(">II", content, at)
            at += 8
            tree[str(path)][_text(content, strings + name_at)] = content[at : at + size]
            at += (size + 3) & ~3
        elif token == END:
            return tree
        elif token != NOTHING:
            raise ValueError(f"token {token:#x}")


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode("ascii", "replace")


def texts(value: bytes) -> list[str]:
    """A property's value as the texts that it is made of."""
    return [text.decode("ascii", "replace") for text in value.split(b"\0") if text]


def cells(value: bytes) -> list[int]:
    """A property's value as 32-bit numbers."""
    return list(struct.unpack(f">{len(value) // 4}I", value[: len(value) // 4 * 4]))
