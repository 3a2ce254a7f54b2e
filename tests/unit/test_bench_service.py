# SPDX-License-Identifier: MIT
"""The service's figures: a trend and its error, what is looked at on the board, and the goals that each one names."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from firmware import bench, bench_receive, bench_service
from firmware.trend import trend

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("points", [[], [(0, 1), (1, 2)], [(1, 1), (1, 2), (1, 3)]])
def test_too_few_points_have_no_trend(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="valid: at least 3"):
        trend(points)


def test_trend_of_a_line_is_sure_and_of_noise_is_not() -> None:
    line = trend([(x, 3 * x + 7) for x in range(10)])
    assert (round(line.slope, 9), round(line.error, 9)) == (3, 0)
    noise = trend([(x, x % 2) for x in range(100)])
    assert abs(noise.slope) < 2 * noise.error


def test_figures_are_known_to_the_bench_and_named_in_the_issue() -> None:
    names = {name for group in bench.GROUPS for name in group.figures}
    wanted = {"python_vs_c_insn_ratio", "record_vs_fio_ratio", "receive_vs_iperf_ratio"}
    assert wanted | {"soak_rss_slope_kib_per_h", "stream_and_record_gaps"} <= names


def test_script_on_the_board_sends_the_request_and_waits_until_it_is_done(tmp_path: Path) -> None:
    script = bench_service.ASK.replace("/run/captured/control.sock", str(tmp_path / "sock"))
    states = (("running", 5), ("draining", 1), ("idle", 0))
    replies: list[dict[str, object]] = [{"ok": True, "capture": 1}]
    replies += [{"ok": True, "state": name, "ring": {"blocks_done": 2, "blocks_user": used}} for name, used in states]
    asked = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen()

        def answer() -> None:
            connection = listener.accept()[0]
            with connection, connection.makefile("rwb") as lines:
                for reply in replies:
                    asked.append(json.loads(lines.readline()))
                    lines.write(json.dumps(reply).encode() + b"\n")
                    lines.flush()

        thread = threading.Thread(target=answer)
        thread.start()
        done = subprocess.run(
            [sys.executable, "-c", script, '{"command": "start"}'], capture_output=True, text=True, check=True
        )
        thread.join()
    assert [one["command"] for one in asked] == ["start", "status", "status", "status"]
    assert json.loads(done.stdout)["peak"] == 7


def test_look_at_memory_and_descriptors_gives_three_numbers(tmp_path: Path) -> None:
    look = bench_service.LOOK.format(seconds=0.01).replace("$(systemctl show -P MainPID captured)", str(os.getpid()))
    said = subprocess.run(
        ["/usr/bin/timeout", "0.5", "sh", "-c", look], capture_output=True, text=True, check=False, cwd=tmp_path
    ).stdout
    at, memory, files = map(int, said.splitlines()[0].split())
    assert at > 0
    assert memory > 1000
    assert files > 2


def test_memory_that_settles_is_flat_and_memory_that_grows_is_not() -> None:
    settles = bench_service.soaked([(100 + 10 * look, 7000 + min(look, 100), 20) for look in range(360)])
    assert settles["soak_settling_kib"] == 100
    assert settles["soak_rss_slope_kib_per_h"] == pytest.approx(0)
    assert settles["soak_rss_slope_error_kib_per_h"] == pytest.approx(8, rel=0.01)
    leaks = bench_service.soaked([(100 + 10 * look, 7000 + look // 10 * 4, 20 + look // 100) for look in range(360)])
    assert leaks["soak_rss_slope_kib_per_h"] == pytest.approx(144, rel=0.05)
    assert leaks["soak_rss_slope_kib_per_h"] > 2 * leaks["soak_rss_slope_error_kib_per_h"]
    assert leaks["soak_fd_growth"] == 3
    assert leaks["soak_minutes"] == pytest.approx(59.8, abs=0.1)


def test_receiver_is_measured_with_what_it_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_receive, "SECONDS", 0.1)
    assert 0 < bench_receive.received(bench_receive.GIGABIT) < 1.5 * bench_receive.GIGABIT
