# SPDX-License-Identifier: MIT
"""Figures of the Yocto engine: rendering, and what real OpenEmbedded says of our layers (with `OE_MIRRORS`)."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from firmware import board as boards
from firmware import cpu_time, lint, lock, openembedded, release, rendering, yocto
from firmware.bench_cost import Figure, Group
from firmware.choice import Choice
from firmware.errors import ToolError, UserError
from firmware.events import Reader, State
from firmware.openembedded import BITBAKE, RAUC, STATIC, BuildFolder


def render_all_s(_choice: Choice) -> float:
    """Every board rendered into an empty folder, in this process."""
    with tempfile.TemporaryDirectory(prefix="rendered-") as scratch:
        started = time.monotonic()
        for name in boards.names():
            rendering.write(boards.load(name), Path(scratch) / name)
        return time.monotonic() - started


def oelint_findings(_choice: Choice) -> float:
    """Findings of oelint-adv in all recipes, rendered for every board and static."""
    with tempfile.TemporaryDirectory(prefix="rendered-") as scratch:
        files = [path for ending in ("*.bb", "*.bbappend") for path in STATIC.rglob(ending)]
        for name in boards.names():
            rendering.write(boards.load(name), Path(scratch) / name)
        return float(len(lint.findings([*files, *Path(scratch).rglob("*.bb")])))


def _upstream() -> dict[str, Path]:
    folder = openembedded.mirror()
    if folder is None:
        raise UserError(f"{lock.MIRRORS} is not set (valid: a mirror as ./inv mirror fills it)")
    return openembedded.trees(folder)


def _parse_cpu_s(folder: Path, upstream: Mapping[str, Path], layers: list[Path], conf: str) -> float:
    build = BuildFolder(folder, upstream, layers, conf)
    said = build.script(Path(cpu_time.__file__), sys.executable, str(upstream[BITBAKE] / "bin" / "bitbake"), "-p")
    if said.status:
        raise ToolError(["bitbake", "-p"], said.status, said.text[-2000:])
    return float(said.text.partition("\n")[0])


def parse_overhead_ratio(choice: Choice) -> float:
    """CPU seconds of bitbake -p from nothing, all of OpenEmbedded-Core: with our layers over without, at the same time.

    meta-rauc is in both. Run at once, they meet the same load.
    """
    upstream, rauc = _upstream(), 'DISTRO_FEATURES:append = " rauc"\nINIT_MANAGER = "systemd"\n'
    with tempfile.TemporaryDirectory(prefix="parse-") as name, ThreadPoolExecutor() as pool:
        scratch = Path(name)
        rendering.write(choice.board, scratch / "rendered")
        ours = [upstream[RAUC], STATIC, scratch / "rendered" / yocto.LAYER]
        conf = f'MACHINE = "{choice.board.name}"\nDISTRO = "cyclone-capture"\n'
        with_ours = pool.submit(_parse_cpu_s, scratch / "ours", upstream, ours, conf)
        alone = pool.submit(_parse_cpu_s, scratch / "alone", upstream, ours[:1], f'MACHINE = "qemuarm"\n{rauc}')
        return with_ours.result() / alone.result()


def check_layer_failures(choice: Choice) -> float:
    """Tests of yocto-check-layer that fail or break, of both our layers, OpenEmbedded-Core's recipes masked."""
    upstream = _upstream()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        scratch = Path(name)
        rendering.write(choice.board, scratch / "rendered")
        board = scratch / "rendered" / yocto.LAYER
        for layer, other in ((STATIC, board), (board, STATIC)):
            said = openembedded.check_layer(
                scratch / layer.name, upstream, choice.board.name, layer, [other, upstream[RAUC]]
            )
            found = len(re.findall(r"INFO: (?:FAIL|ERROR): ", said.text))
            failures += found or (1 if said.status or " ... PASS" not in said.text else 0)
    return float(failures)


def bitbake_built_recipes(choice: Choice) -> float:
    """Recipes whose package BitBake wrote in the last release build of the board, from its event log."""
    log = release.folder(choice.board) / "events.json"
    if not log.is_file():
        raise UserError(f"no {log} (valid: run ./inv build --engine=yocto first)")
    return float(len(built(log)))


def built(log: Path) -> set[str]:
    """Names of the recipes that an event log says were packaged, deployed or made an image of."""
    state, found = State(), set()
    for event in Reader(log).events():
        state.take(event)
        if event.name == "TaskSucceeded" and event.values.get("_task") in PRODUCING:
            found.add(str(event.values["pn"]))
    return found


PRODUCING = ("do_package_write_deb", "do_package_write_ipk", "do_deploy", "do_image_complete")


def _group(function: Callable[[Choice], float], unit: str, long: bool = True) -> Group:
    """A group of one figure, explained by the function's docstring."""
    name, how = function.__name__, (function.__doc__ or "").strip().partition("\n")[0]
    return Group({name: Figure(unit, how)}, lambda choice: {name: function(choice)}, long)


GROUPS = (
    _group(render_all_s, "s", long=False),
    _group(oelint_findings, "findings", long=False),
    _group(parse_overhead_ratio, "ratio"),
    _group(check_layer_failures, "tests"),
    _group(bitbake_built_recipes, "recipes"),
)
