# SPDX-License-Identifier: MIT
"""Print, as JSON, what BitBake makes of recipes; run by `firmware/openembedded.py` inside BitBake.

`recipes_collect.py NAMES FOLDER...`: of each recipe below a folder, or that is appended to from there, the variables
and functions whose names match the regular expression NAMES, expanded, and the tasks that each of its tasks is behind.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any


def evaluated(data: Any, names: re.Pattern[str]) -> dict[str, Any]:
    """One recipe. Each look into `data` asks BitBake's server, hence the choice of names."""
    values: dict[str, str] = {}
    functions: dict[str, str] = {}
    for name in data.keys():  # noqa: SIM118  # no mapping
        if names.fullmatch(name) and isinstance(value := data.getVar(name), str):
            (functions if data.getVarFlag(name, "func") else values)[name] = value
    tasks = {task: data.getVarFlag(task, "deps", False) or [] for task in data.getVar("__BBTASKS", False)}
    return {"values": values, "functions": functions, "tasks": tasks}


def main() -> None:
    """Parse everything, then evaluate what is asked for."""
    import bb.tinfoil  # type: ignore[import-untyped]

    names, folders = re.compile(sys.argv[1]), tuple(f"{folder}/" for folder in sys.argv[2:])
    found = {}
    with bb.tinfoil.Tinfoil() as tinfoil:
        tinfoil.prepare(quiet=2)
        for path in tinfoil.all_recipe_files(variants=False):
            if any(one.startswith(folders) for one in (path, *tinfoil.get_file_appends(path))):
                found[path] = evaluated(tinfoil.parse_recipe_file(path), names)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
