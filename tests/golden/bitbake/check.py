# SPDX-License-Identifier: MIT
"""BitBake's own parser over recipes, with stub classes in place of OpenEmbedded-Core's.

`check.py REQUEST` reads JSON (`jobs`, by name: `layers`, `machine`, `distro`, `topdir`, `recipes`, `appends`) and
prints JSON: for each job and recipe its `errors`, the `values` of its variables, the texts of its shell `functions` and
its `tasks`, each with those that it is behind. Each recipe is parsed with all overrides; every variable is expanded (so
inline Python runs), every shell and Python function is parsed, every `file://` source must be there, every other one
needs a checksum.

PyPI's `bitbake-setup` ships the package `bb`, but not `hashserv` and `prserv`, which `bb` imports and parsing never
calls: empty modules stand in. Each job runs in a child of the process that has imported BitBake: it changes `bb` for
good.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
import types
from pathlib import Path
from typing import Any

for missing in ("hashserv", "hashserv.client", "prserv", "prserv.serv"):
    sys.modules[missing] = types.ModuleType(missing)
setattr(sys.modules["hashserv"], "client", sys.modules["hashserv.client"])  # noqa: B010  # mypy: a module has no such name
setattr(sys.modules["prserv"], "serv", sys.modules["prserv.serv"])  # noqa: B010

import bb  # type: ignore[import-untyped]  # noqa: E402
import bb.codeparser  # type: ignore[import-untyped]  # noqa: E402
import bb.data  # type: ignore[import-untyped]  # noqa: E402
import bb.fetch2  # type: ignore[import-untyped]  # noqa: E402
import bb.parse  # type: ignore[import-untyped]  # noqa: E402
import bb.parse.parse_py.BBHandler  # type: ignore[import-untyped]  # noqa: E402
import bb.siggen  # type: ignore[import-untyped]  # noqa: E402

STUBS = Path(__file__).resolve().parent
LOG = logging.getLogger("check")


class Recorder(logging.Handler):
    """Keeps what BitBake logs as a warning or an error: its exceptions often say no more than that there was one."""

    def __init__(self) -> None:
        """Start with nothing said."""
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.said.append(record.getMessage())


RECORDER = Recorder()


def configuration(job: dict[str, Any]) -> Any:
    """BitBake's data after all configuration files: bitbake.conf, layers, machine, distro, and the global class."""
    data = bb.data.init()
    for name, value in {
        "TOPDIR": job["topdir"],
        "MACHINE": job["machine"],
        "BBPATH": str(STUBS),
        "BB_SIGNATURE_HANDLER": "noop",
    }.items():
        data.setVar(name, value)
    bb.parse.siggen = bb.siggen.init(data)
    for layer in job["layers"]:
        data.setVar("LAYERDIR", layer)
        data = bb.parse.handle(f"{layer}/conf/layer.conf", data, True)
        data.expandVarref("LAYERDIR")
    data.delVar("LAYERDIR")
    data = bb.parse.handle("conf/bitbake.conf", data, True)
    data = bb.parse.handle(f"conf/machine/{job['machine']}.conf", data, True)
    data = bb.parse.handle(f"conf/distro/{job['distro']}.conf", data, True)
    data.setVar("__bbclasstype", "global")
    bb.parse.BBHandler.inherit("base", "check.py", 0, data)
    data.setVar("__bbclasstype", "recipe")
    return data


def parse(recipe: str, appends: list[str], base: Any) -> dict[str, Any]:
    """Errors, expanded variables, functions and tasks of one recipe."""
    RECORDER.said.clear()
    data = bb.data.createCopy(base)
    data.setVar("FILE", recipe)
    data.setVar("__BBAPPEND", " ".join(appends))
    try:
        data = bb.parse.handle(recipe, data)[""]
    except (Exception, SystemExit) as error:
        return {
            "errors": [f"{type(error).__name__}: {error}", *RECORDER.said],
            "values": {},
            "functions": {},
            "tasks": {},
        }
    errors: list[str] = []
    values: dict[str, str] = {}
    functions: dict[str, str] = {}
    for name in sorted(data.keys()):
        if name.startswith("__"):
            continue
        try:
            if data.getVarFlag(name, "func"):
                functions[name] = _function(name, data)
            elif isinstance(value := data.getVar(name), str):
                values[name] = value
        except (Exception, SystemExit) as error:
            errors.append(f"{name}: {type(error).__name__}: {error}")
    for uri in values.get("SRC_URI", "").split():
        errors += _source(uri, data)
    tasks = {task: data.getVarFlag(task, "deps", False) or [] for task in data.getVar("__BBTASKS", False) or []}
    return {"errors": errors + RECORDER.said, "values": values, "functions": functions, "tasks": tasks}


def _function(name: str, data: Any) -> str:
    if data.getVarFlag(name, "python"):
        body = data.getVar(name, False) or "pass"
        bb.codeparser.PythonParser(name, LOG).parse_python(body, filename=name)
        return str(body)
    text = data.getVar(name) or ""
    bb.codeparser.ShellParser(name, LOG).parse_shell(text)
    return str(text)


def _source(uri: str, data: Any) -> list[str]:
    try:
        fetched = bb.fetch2.FetchData(uri, data)
    except Exception as error:
        return [f"{uri}: {type(error).__name__}: {error}"]
    fetched.setup_localpath(data)
    if fetched.type == "file":
        return [] if fetched.localpath and Path(fetched.localpath).exists() else [f"{uri}: no such file in FILESPATH"]
    if fetched.method.supports_checksum(fetched) and not fetched.sha256_expected:
        return [f"{uri}: no SRC_URI[sha256sum]"]
    return []


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Every recipe of a job, by its path; a broken configuration is an error of all of them."""
    logging.getLogger().addHandler(RECORDER)
    try:
        base = configuration(job)
    except (Exception, SystemExit) as error:
        said = [f"{type(error).__name__}: {error}", *RECORDER.said]
        return {path: {"errors": said, "values": {}, "functions": {}, "tasks": {}} for path in job["recipes"]}
    return {path: parse(path, job["appends"].get(path, []), base) for path in job["recipes"]}


def main() -> None:
    """Parse what the request names; the result goes to standard output."""
    jobs = json.loads(Path(sys.argv[1]).read_text())["jobs"]
    with multiprocessing.get_context("fork").Pool(maxtasksperchild=1) as pool:
        results = pool.map(run, jobs.values(), chunksize=1)
    json.dump(dict(zip(jobs, results, strict=True)), sys.stdout)


if __name__ == "__main__":
    main()
