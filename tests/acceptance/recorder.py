# SPDX-License-Identifier: MIT
"""What a case leaves for the report while it runs: nested, timed steps, figures, and drawings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from firmware.verdict import Measure, Plot, Step


class Recorder:
    """Of one case; steps are seconds since it was made."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.steps: list[Step] = []
        self.measures: list[Measure] = []
        self.plots: list[Plot] = []
        self._began = time.monotonic()
        self._open = self.steps
        self._line: Step | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """What the block does, timed; blocks within it are steps of it."""
        outer, inner, at = self._open, list[Step](), self._now()
        self._open, failed = inner, True
        try:
            yield
            failed = False
        finally:
            self._open = outer
            outer.append(Step(name=name, at=at, seconds=self._now() - at, failed=failed, steps=inner))

    def line(self, text: str) -> None:
        """A line that something long says of itself: a step that lasts until the next such line."""
        if self._line is not None:
            begun = self._line
            index = next(i for i, step in enumerate(self._open) if step is begun)
            self._open[index] = begun.model_copy(update={"seconds": self._now() - begun.at})
        self._line = Step(name=text.strip(), at=self._now(), seconds=0.0)
        self._open.append(self._line)

    def measure(
        self, name: str, value: float, unit: str, better: Literal["higher", "lower", "neither"] = "neither"
    ) -> None:
        """Keep a figure."""
        self.measures.append(Measure(name=name, value=float(value), unit=unit, better=better))

    def plot(self, title: str, svg: str) -> None:
        """Keep a drawing."""
        self.plots.append(Plot(title=title, svg=svg))

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 3)
