# SPDX-License-Identifier: MIT
"""A YAML file that a person writes, read strictly: boards, fleets, recipes.

No key twice (YAML itself lets the last one win), and then what its pydantic model says. Each mistake is one line of one
UserError: file, key, value, and what would be valid.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from firmware.errors import UserError

M = TypeVar("M", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read(path: Path) -> Any:
    """What is in the file. Raises UserError: no YAML; OSError."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no valid YAML: {error}") from error


def load(path: Path, model: type[M]) -> M:
    """The file as `model`. Raises UserError, OSError."""
    raw = read(path)
    if not isinstance(raw, dict):
        shown = "empty" if raw is None else f"a {type(raw).__name__}"
        raise UserError(f"{path}: {shown} (valid: keys and values: {_keys(model)})")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {_explain(model, each)}" for each in error.errors())) from error


def _explain(model: type[BaseModel], detail: Any) -> str:
    key, kind, value = ".".join(str(part) for part in detail["loc"]) or "(whole file)", detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key (valid: {_keys(_model_at(model, detail['loc'][:-1]))})"
    if kind == "missing":
        return f"{key}: missing key"
    if kind == "value_error":
        return f"{key}: {detail['ctx']['error']}"
    shown = f"{value:#x} ({value})" if type(value) is int else repr(value)
    if kind == "model_type":
        return f"{key}: {shown} is not valid: keys and values (valid: {_keys(_model_at(model, detail['loc']))})"
    hint = ", such as 64 or 0x40, without a unit or quotes" if kind == "int_type" else ""
    return f"{key}: {shown} is not valid: {detail['msg']}{hint}"


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of what stands at `place`; indexes of lists and keys of dictionaries are stepped over."""
    for part in place:
        if part in (fields := {field.alias or name: field for name, field in model.model_fields.items()}):
            model = _within(fields[str(part)].annotation) or model
    return model


def _within(annotation: Any) -> type[BaseModel] | None:
    """The model in a field's type: `Msgdma | None`, `list[File]`, `dict[str, Group]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _within(part))), None)


def _keys(model: type[BaseModel]) -> str:
    return ", ".join(field.alias or name for name, field in model.model_fields.items())
