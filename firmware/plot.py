# SPDX-License-Identifier: MIT
"""Plots for the report: one SVG, drawn from what a receiver saw, readable without colour and without a script."""

from __future__ import annotations

from collections.abc import Sequence

from firmware.receiver import Reception

WIDTH, HEIGHT, MARGIN = 640, 160, 40
BINS = 64
MIB = 1 << 20


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


def throughput(reception: Reception) -> str:
    """SVG of throughput (MiB/s) over time (s)."""
    values = bins(reception)
    top = max(values) or 1.0
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _placed(values, top))
    base = HEIGHT - MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><polyline fill="none" stroke="black" points="{points}"/>'
        f'<line x1="{MARGIN}" y1="{base}" x2="{WIDTH - MARGIN}" y2="{base}" stroke="grey"/>'
        f'<text x="{MARGIN}" y="14">throughput, MiB/s (top: {top:.1f}; mean: '
        f"{reception.bytes / MIB / (reception.seconds or 1.0):.1f})</text>"
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 20}" text-anchor="end">{reception.seconds:.1f} s</text>'
        f'<text x="{MARGIN}" y="{HEIGHT - 20}">0 s</text></svg>'
    )


def _placed(values: Sequence[float], top: float) -> list[tuple[float, float]]:
    step = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    scale = (HEIGHT - 2 * MARGIN) / top
    return [(MARGIN + number * step, HEIGHT - MARGIN - value * scale) for number, value in enumerate(values)]
