# SPDX-License-Identifier: MIT
"""One picture of a recording: waveform with its envelope, spectrum, and where samples are missing.

PNG, or an HTML page that holds the picture as SVG and needs nothing else. A long recording is drawn by the smallest and
largest sample of each column, so that no peak is missed; it is never in memory as a whole. The spectrum is Welch's mean
of windows that touch no gap. What is no number is left out. Gaps nearer than a column are drawn as one.
"""

from __future__ import annotations

import html
import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError
from .files import Recording
from .numbers import plain

COLUMNS = 1600
WINDOW = 4096
WINDOWS = 200
LABELS = 24  # of gaps; more can't be read
POINTS = 64  # with so few samples each is a dot
_CHUNK = 1 << 20
_STYLE = (
    "body{font:15px sans-serif;max-width:70rem;margin:1rem auto}th{text-align:left;padding-right:1rem}"
    "svg{width:100%;height:auto}"
)


def plot(recording: Recording, target: Path) -> None:
    """Draw `recording` into `target`, .png or .html. Raises UserError: format, exists, no samples, no matplotlib."""
    if target.suffix not in (".png", ".html"):
        raise UserError(f"{target}: unknown format (valid: .png, .html)")
    if target.exists():
        raise UserError(f"{target} exists (valid: a new name)")
    if not len(recording.samples):
        raise UserError(f"{recording.path}: no samples")
    figure = _figure(recording)
    if target.suffix == ".png":
        figure.savefig(target, dpi=110)
        return
    picture = io.StringIO()
    figure.savefig(picture, format="svg")
    svg = picture.getvalue()
    target.write_text(_page(recording, svg[svg.index("<svg") :]), encoding="utf-8")


def envelope(samples: npt.NDArray[Any], columns: int = COLUMNS) -> tuple[npt.NDArray[Any], ...]:
    """Place, smallest and largest value of each column (magnitude of complex samples)."""
    edges = np.linspace(0, len(samples), min(columns, len(samples)) + 1).astype(np.int64)
    low, high = np.empty(len(edges) - 1), np.empty(len(edges) - 1)
    for column, (first, behind) in enumerate(itertools.pairwise(edges)):
        parts = [_extremes(samples[at : min(at + _CHUNK, behind)]) for at in range(first, behind, _CHUNK)]
        low[column] = np.fmin.reduce([least for least, _ in parts])
        high[column] = np.fmax.reduce([most for _, most in parts])
    return edges[:-1], low, high


def _extremes(samples: npt.NDArray[Any]) -> tuple[Any, Any]:
    part = np.abs(plain(samples)) if samples.dtype.names or samples.dtype.kind == "c" else samples
    return np.fmin.reduce(part), np.fmax.reduce(part)


def spans(recording: Recording) -> list[tuple[int, int, int]]:
    """The gaps as they are drawn: first sample, samples, bytes lost; those nearer than a column are one."""
    column = len(recording.samples) // COLUMNS
    made: list[tuple[int, int, int]] = []
    for first, count, gone in sorted(recording.gaps):
        if made and first - (made[-1][0] + made[-1][1]) <= column:
            begin, length, before = made[-1]
            made[-1] = (begin, max(length, first + count - begin), before + gone)
        else:
            made.append((first, count, gone))
    return made


def spectrum(recording: Recording) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Frequency (hertz, or cycles a sample without a rate) and level (dB of the largest line)."""
    samples = recording.samples
    size = min(WINDOW, 1 << (len(samples).bit_length() - 1))
    gaps = np.array([(first, first + count) for first, count, _ in recording.gaps], np.int64).reshape(-1, 2)
    starts = np.unique(np.linspace(0, len(samples) - size, WINDOWS).astype(np.int64))
    clean = [at for at in starts if not ((at < gaps[:, 1]) & (at + size > gaps[:, 0])).any()]
    shape = np.hanning(size) if size > 1 else np.ones(1)
    complex_ones = recording.samples.dtype.names is not None or samples.dtype.kind == "c"
    power = np.zeros(size if complex_ones else size // 2 + 1)
    for at in clean or starts:
        part = plain(samples[at : at + size])
        if not np.isfinite(part).all():
            continue
        line = (part - part.mean()) * shape
        power += np.abs(np.fft.fftshift(np.fft.fft(line)) if complex_ones else np.fft.rfft(line)) ** 2
    step = 1.0 / (recording.rate or 1.0)
    places = np.fft.fftshift(np.fft.fftfreq(size, step)) if complex_ones else np.fft.rfftfreq(size, step)
    return places, 10 * np.log10(np.maximum(power / (power.max() or 1.0), 1e-16))


def _figure(recording: Recording) -> Any:
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter
    except ImportError as error:
        raise UserError("plot needs matplotlib (valid: pip install 'cyclone-capture[plot]')") from error
    rate = recording.rate or 1.0
    unit = "s" if recording.rate else "sample"
    figure = Figure(figsize=(11, 8), layout="constrained")
    wave, lines, lost = figure.subplots(3, 1, height_ratios=(3, 3, 1))
    begin, end = recording.first, recording.first + len(recording.samples)
    places, low, high = envelope(recording.samples)
    places += begin
    wave.fill_between(places / rate, low, high, linewidth=0.6, edgecolor="tab:blue", alpha=0.8)
    if len(places) <= POINTS:
        wave.plot(places / rate, high, ".", color="tab:blue")
    kind = "magnitude" if recording.samples.dtype.names or recording.samples.dtype.kind == "c" else "value"
    wave.set(title=recording.path.name, ylabel=kind, xlabel=unit, xlim=(begin / rate, end / rate))
    frequency, level = spectrum(recording)
    lines.plot(frequency, level, linewidth=0.8)
    lines.set(ylabel="dB", xlabel="" if recording.rate else "cycles a sample", ylim=(max(-140, level.min()) - 5, 5))
    lines.margins(x=0)
    if recording.rate:
        lines.xaxis.set_major_formatter(EngFormatter("Hz"))
    lines.grid(alpha=0.3)
    drawn, across = spans(recording), lost.get_xaxis_transform()  # x in data, y from 0 to 1
    for axes in (wave, lost):
        axes.broken_barh(
            [((begin + first) / rate, max(count, 1) / rate) for first, count, _ in drawn],
            (0, 1),
            transform=axes.get_xaxis_transform(),
            color="tab:red",
            alpha=0.25 if axes is wave else 1,
            clip_on=axes is wave,  # what was lost behind the last sample lies on the edge
        )
    for first, _, gone in drawn if len(drawn) <= LABELS else ():
        side = "right" if first > 0.9 * len(recording.samples) else "left"
        box = {"color": "white", "alpha": 0.8}
        place = ((begin + first) / rate, 0.5)
        lost.annotate(f"{gone:,} B", place, xycoords=across, fontsize=8, bbox=box, ha=side)
    total = sum(gone for _, _, gone in recording.gaps)
    said = f"{len(recording.gaps)} gaps, {total:,} bytes lost" if recording.gaps else "no gaps"
    lost.set(title=said, yticks=[], xlabel=unit, xlim=(begin / rate, end / rate))
    return figure


def _page(recording: Recording, svg: str) -> str:
    head = {key.partition(":")[2]: value for key, value in recording.meta["global"].items() if ":" in key}
    rows = [(name, value) for name, value in head.items() if not isinstance(value, list)]
    of = f" from {recording.first:,} on" if recording.first else ""
    rows += [("samples", f"{len(recording.samples):,}{of}"), ("gaps", len(recording.gaps))]
    table = "".join(f"<tr><th>{html.escape(str(n))}<td>{html.escape(str(v))}" for n, v in rows)
    name = html.escape(recording.path.name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
        f"<h1>{name}</h1>{svg}<table>{table}</table></html>\n"
    )
