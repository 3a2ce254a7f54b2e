# SPDX-License-Identifier: MIT
"""The model orders the ways out of the ring by what they cost, and the benchmark's report says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware import bench_report, model, paths
from firmware.model import WAYS

pytestmark = pytest.mark.unit

FIGURES = {
    "insn_per_mib_read_send": 5.47e6,
    "insn_per_mib_mmap_send": 5.36e6,
    "insn_per_mib_zerocopy": 5.74e6,
    "insn_per_mib_forward_only": 5.19e6,
}


def test_without_figures_nothing_is_expected() -> None:
    assert model.expect({}) == []
    assert "expected to send" not in bench_report.text({})


def test_each_term_of_the_sum() -> None:
    nothing = model.Way("nothing", "x", 0, 0)
    assert model.seconds_per_mib(800e6, nothing) == pytest.approx(model.CPI)
    copies = model.Way("copies", "x", 2, 0)
    assert model.seconds_per_mib(0, copies) == pytest.approx([2 / rate for rate in model.COPY_MIB_PER_S])
    passes = model.Way("passes", "x", 0, 3)
    assert model.seconds_per_mib(0, passes)[0] == pytest.approx(3 * 32768 * 10 / 800e6)


def test_what_copies_less_is_expected_to_be_faster() -> None:
    found = model.expect(FIGURES)
    assert [one.way for one in found] == list(WAYS)
    assert [one.slowest for one in found] == sorted(one.slowest for one in found)
    assert all(one.slowest < one.fastest <= model.WIRE_MB_PER_S for one in found)


def test_a_copying_writer_is_where_users_have_measured_it() -> None:
    """55 MB/s of write() from a mapped buffer to a socket, on a Cyclone V; that memory was uncached, ours is not."""
    mapped = model.expect(FIGURES)[1]
    assert mapped.slowest < 55 < mapped.fastest


def test_manual_says_what_the_model_says() -> None:
    rows = [f"| {one.way.title} | {one.slowest:.0f} .. {one.fastest:.0f} |" for one in model.expect(FIGURES)]
    assert "\n".join(rows) in (paths.ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_report_has_every_figure_the_model_and_a_plot(tmp_path: Path) -> None:
    figures = {name: {"value": value, "unit": "instructions/MiB", "how": "a|b"} for name, value in FIGURES.items()}
    report = tmp_path / "bench.json"
    report.write_text(json.dumps(figures | {"parse_ratio": {"value": 1.0234, "unit": "", "how": "x"}}))
    bench_report.write(report)
    table = report.with_suffix(".md").read_text()
    assert "| `insn_per_mib_read_send` | 5,470,000 | instructions/MiB | a/b |" in table
    assert "| `parse_ratio` | 1.02 |" in table
    assert "| the same, forward-only | " in table
    assert report.with_suffix(".svg").read_text().startswith("<svg")
