# SPDX-License-Identifier: MIT
"""A straight line through measurements, and how sure its slope is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 3


@dataclass(frozen=True)
class Trend:
    """Slope in units of y by units of x, and its standard error (two of them: about 95 %)."""

    slope: float
    error: float


def trend(points: Sequence[tuple[float, float]]) -> Trend:
    """The least-squares line of (x, y). Raises ValueError: fewer than three points, or all at one x."""
    if len(points) < LEAST or len({x for x, _y in points}) < LEAST:
        raise ValueError(f"{len(points)} points (valid: at least {LEAST}, at different places)")
    x, y = np.array(points, dtype=float).T
    away = x - x.mean()
    slope = float(away @ (y - y.mean()) / (away @ away))
    rest = y - y.mean() - slope * away
    error = float(np.sqrt(rest @ rest / (len(points) - 2) / (away @ away)))
    return Trend(slope, error)
