# SPDX-License-Identifier: MIT
"""The benchmark's report: `build/reports/bench.md` with every figure known and the model's table, `bench.svg` its plot.

Both are made anew from `bench.json` after each `./inv bench`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware import model, plot
from firmware.model import Expected

NOTE = "One core of an 800 MHz Cortex-A9, over the assumptions of docs/performance.md: a model, not a measurement."


def text(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The table, as Markdown."""
    lines = ["# Benchmark", "", "| figure | value | unit | how it was measured |", "|---|---:|---|---|"]
    for name, found in sorted(figures.items()):
        lines.append(f"| `{name}` | {number(found['value'])} | {found['unit']} | {found['how'].replace('|', '/')} |")
    if expected := model.expect({name: found["value"] for name, found in figures.items()}):
        lines += ["", "## What a board may be expected to send", "", NOTE, ""]
        lines += ["| way | ms a MiB | MB/s |", "|---|---:|---:|", *map(row, expected)]
    return "\n".join(lines) + "\n"


def row(found: Expected) -> str:
    """One way's row of the model's table."""
    best, worst = found.milliseconds
    return f"| {found.way.title} | {best:.1f} to {worst:.1f} | {found.slowest:.0f} to {found.fastest:.0f} |"


def number(value: float) -> str:
    """A figure for a person: whole when it is large or whole, else with three digits that mean something."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def write(report: Path) -> None:
    """Write table and plot beside `report`, the JSON file."""
    figures = json.loads(report.read_text(encoding="utf-8"))
    report.with_suffix(".md").write_text(text(figures), encoding="utf-8")
    values = {name: found["value"] for name, found in figures.items() if name.startswith("insn_per_mib_")}
    if values:
        report.with_suffix(".svg").write_text(plot.costs(values, model.expect(values)), encoding="utf-8")
