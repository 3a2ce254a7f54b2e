# SPDX-License-Identifier: MIT
"""Rendering: one frozen `Board` in, texts out. StrictUndefined, deterministic, no logic beyond loops in a template.

A template sees `board` (the Board), `layout` (the module `firmware.layout`), `stream_port`, and the values that its
caller names, `recipes` (all recipes) among them. `text` renders one; `firmware/rendering.py` lists which template
becomes which file.
"""

from __future__ import annotations

from typing import Any

import jinja2

from firmware import layout, paths
from firmware.board import STREAM_PORT, Board
from firmware.errors import UserError

_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(paths.ROOT / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701  # the outputs are configuration files, not HTML
)
_environment.filters["hex"] = lambda value: f"{value:#x}"


def text(template: str, board: Board, **values: Any) -> str:
    """Rendering of `templates/<template>`. Raises UserError: no such template, or a name in it that has no value."""
    try:
        return _environment.get_template(template).render(board=board, layout=layout, stream_port=STREAM_PORT, **values)
    except jinja2.TemplateNotFound as error:
        raise UserError(f"no template templates/{error.name}") from error
    except jinja2.UndefinedError as error:
        raise UserError(f"templates/{template}: {error.message}") from error
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"templates/{error.name}:{error.lineno}: {error.message}") from error
