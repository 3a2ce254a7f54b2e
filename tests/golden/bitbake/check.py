# SPDX-License-Identifier: MIT
"""BitBake's own parser over recipes, with stub classes in place of OpenEmbedded-Core's.

`check.py REQUEST` reads JSON (`layers`, `machine`, `distro`, `topdir`, `variables`, `recipes`, `appends`) and prints
JSON: for each recipe its `errors`, and the `values` of its variables. Each recipe is parsed with all overrides; every
variable is expanded (so inline Python runs), every shell and Python function is parsed, every `file://` source must be
there, and every other source must have a checksum.

PyPI's `bitbake-setup` ships the package `bb`, but not `hashserv` and `prserv`, which `bb` imports and parsing never
calls: empty modules stand in.
"""

from __future__ import annotations

import json
import logging
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
    """Keeps what BitBake logs as an error: its exceptions often say no more than that there was one."""

    def __init__(self) -> None:
        """Start with nothing said."""
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.said.append(record.getMessage())


RECORDER = Recorder()


def configuration(request: dict[str, Any]) -> Any:
    """BitBake's data after all configuration files: bitbake.conf, layers, machine, distro, and the global class."""
    data = bb.data.init()
    for name, value in {
        "TOPDIR": request["topdir"],
        "MACHINE": request["machine"],
        "BBPATH": str(STUBS),
        "BB_SIGNATURE_HANDLER": "noop",
        **request.get("variables", {}),
    }.items():
        data.setVar(name, value)
    bb.parse.siggen = bb.siggen.init(data)
    for layer in request["layers"]:
        data.setVar("LAYERDIR", layer)
        data = bb.parse.handle(f"{layer}/conf/layer.conf", data, True)
        data.expandVarref("LAYERDIR")
    data.delVar("LAYERDIR")
    data = bb.parse.handle("conf/bitbake.conf", data, True)
    data = bb.parse.handle(f"conf/machine/{request['machine']}.conf", data, True)
    if request.get("distro"):
        data = bb.parse.handle(f"conf/distro/{request['distro']}.conf", data, True)
    data.setVar("__bbclasstype", "global")
    bb.parse.BBHandler.inherit("base", "check.py", 0, data)
    data.setVar("__bbclasstype", "recipe")
    return data


def parse(recipe: str, appends: list[str], base: Any) -> dict[str, Any]:
    """Errors and expanded variables of one recipe."""
    RECORDER.said.clear()
    data = bb.data.createCopy(base)
    data.setVar("FILE", recipe)
    data.setVar("__BBAPPEND", " ".join(appends))
    try:
        data = bb.parse.handle(recipe, data)[""]
    except (Exception, SystemExit) as error:
        return {"errors": [f"{type(error).__name__}: {error}", *RECORDER.said], "values": {}}
    errors: list[str] = []
    values: dict[str, str] = {}
    for name in sorted(data.keys()):
        if name.startswith("__"):
            continue
        try:
            if data.getVarFlag(name, "func"):
                _function(name, data)
            elif isinstance(value := data.getVar(name), str):
                values[name] = value
        except (Exception, SystemExit) as error:
            errors.append(f"{name}: {type(error).__name__}: {error}")
    for uri in values.get("SRC_URI", "").split():
        errors += _source(uri, data)
    return {"errors": errors + RECORDER.said, "values": values}


def _function(name: str, data: Any) -> None:
    if data.getVarFlag(name, "python"):
        body = data.getVar(name, False) or "pass"
        bb.codeparser.PythonParser(name, LOG).parse_python(body, filename=name)
    else:
        bb.codeparser.ShellParser(name, LOG).parse_shell(data.getVar(name) or "")


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


def main() -> None:
    """Parse what the request names; the result goes to standard output."""
    request = json.loads(Path(sys.argv[1]).read_text())
    logging.getLogger().addHandler(RECORDER)
    base = configuration(request)
    json.dump({path: parse(path, request["appends"].get(path, []), base) for path in request["recipes"]}, sys.stdout)


if __name__ == "__main__":
    main()
