# SPDX-License-Identifier: MIT
"""The plain Python functions of a class of the layer, without BitBake: `functions("config_assert")["name"](...)`."""

from __future__ import annotations

from typing import Any

from firmware import paths

CLASSES = paths.ROOT / "layers" / "meta-cyclone-capture" / "classes-recipe"


def functions(name: str) -> dict[str, Any]:
    """By name: what stands from the first `def` of `<name>.bbclass` to the first task."""
    text = (CLASSES / f"{name}.bbclass").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(text[text.index("def ") : text.index("# nooelint", text.index("def "))], names)  # noqa: S102
    return names
