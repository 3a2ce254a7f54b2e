# SPDX-License-Identifier: MIT
"""Plots for the report, as SVG: throughput, occupancy of the ring, latency; readable without colour."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firmware.model import Expected
from firmware.receiver import Reception

BINS = 64
MIB = 1 << 20
_STYLE: Any = {"svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
_INCHES = (7.0, 2.1)


def bins(reception: Reception, count: int = BINS) -> list[float]:
    """Throughput in MiB/s in `count` equal spans of the capture's duration; all zero when it has none."""
    filled = [0.0] * count
    if not reception.seconds or not reception.blocks:
        return filled
    per_block = reception.bytes / reception.blocks / MIB
    span = reception.seconds / count
    for arrival in reception.arrivals:
        filled[min(count - 1, int(arrival / span))] += per_block / span
    return filled


def latencies(reception: Reception) -> list[float]:
    """Seconds from each block's filling to its arrival, more than the quickest block's: the two clocks differ."""
    taken = [arrival - filled for arrival, filled in zip(reception.arrivals, reception.filled, strict=True)]
    least = min(taken, default=0.0)
    return [seconds - least for seconds in taken]


def throughput(reception: Reception) -> str:
    """Throughput (MiB/s) over time (s)."""
    axes, figure = _axes("time, s", "MiB/s")
    values = bins(reception)
    span = (reception.seconds or 1.0) / len(values)
    axes.step([span * number for number in range(len(values))], values, where="post", color="black", linewidth=1)
    mean = reception.bytes / MIB / (reception.seconds or 1.0)
    axes.axhline(mean, color="black", linestyle="--", linewidth=0.8)
    axes.set_title(f"throughput, mean: {mean:.1f} MiB/s", loc="left", fontsize=9)
    axes.set_ylim(bottom=0)
    return _svg(figure)


def occupancy(samples: Sequence[tuple[float, int]], blocks: int) -> str:
    """Blocks of the ring that wait or are being sent, by (seconds, blocks), of `blocks` in all."""
    axes, figure = _axes("time, s", "blocks")
    axes.step([at for at, _ in samples], [held for _, held in samples], where="post", color="black", linewidth=1)
    top = max((held for _, held in samples), default=0)
    axes.set_title(f"ring: filled blocks that are not free again, at most {top} of {blocks}", loc="left", fontsize=9)
    axes.set_ylim(0, blocks)
    return _svg(figure)


def latency(reception: Reception) -> str:
    """Histogram of `latencies`, in milliseconds."""
    axes, figure = _axes("ms more than the quickest block", "blocks")
    values = sorted(1000 * seconds for seconds in latencies(reception))
    axes.hist(values or [0.0], bins=40, color="0.5", edgecolor="black", linewidth=0.4)
    middle, most = (values[len(values) // 2], values[-1]) if values else (0.0, 0.0)
    axes.set_title(f"from filled to received: median {middle:.0f} ms, most {most:.0f} ms", loc="left", fontsize=9)
    return _svg(figure)


def costs(instructions: Mapping[str, float], expected: Sequence[Expected]) -> str:
    """Instructions a MiB of each way out of the ring (bars), and the MB/s that the model expects (spans)."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
    names = sorted(instructions, key=lambda name: -instructions[name])
    left.barh([name.removeprefix("insn_per_mib_") for name in names], [instructions[name] / 1e6 for name in names])
    left.set(xlabel="million guest instructions a MiB")
    for way in reversed(expected):
        right.barh(way.way.title, way.fastest - way.slowest, left=way.slowest, color="0.6", edgecolor="black")
    right.set(xlabel="MB/s expected of one core at 800 MHz (a model)", xlim=(0, None))
    return _svg(figure)


def _axes(across: str, up: str) -> tuple[Axes, Figure]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up)
    return axes, figure


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
