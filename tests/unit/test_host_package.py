# SPDX-License-Identifier: MIT
"""`cyclone-capture`: refusals, then live views without a copy, recordings, plots and conversions."""

from __future__ import annotations

import errno
import io
import shutil
import subprocess
import sys
import tracemalloc
import wave
import zipfile
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import cyclone_capture as cc
import numpy as np
import numpy.typing as npt
import pytest
import sigmf
from cyclone_capture import cli as command_line
from cyclone_capture import files as recordings
from cyclone_capture import live, numbers
from cyclone_capture import plot as plots
from cyclone_capture.errors import TargetError, UserError
from cyclone_capture.record import FLAG_END, FLAG_GAP, Header, pack

from firmware import paths
from tests.unit.fake_ring import counter, words

pytestmark = pytest.mark.unit

BLOCK = 4096
Serve = Callable[[bytes], int]


def capture(count: int = 4, gap: int | None = None) -> bytes:
    """A stream of counter blocks; `gap`: in front of this block one is missing."""
    source, parts, sequence = counter(), [], 0
    for number in range(count):
        lost = 0
        if number == gap:
            words(source, BLOCK // 4)
            sequence, lost = sequence + 1, BLOCK
        header = Header(FLAG_GAP if lost else 0, BLOCK, sequence, number, lost, 1)
        parts += [pack(header), words(source, BLOCK // 4).tobytes()]
        sequence += 1
    return b"".join([*parts, pack(Header(FLAG_END, 0, sequence, 9, 0 if gap is None else BLOCK, 1))])


@pytest.mark.parametrize("wrong", ["", "u32", "ru32", "ru8_le", "rf16_le", "xu32_le", "cu128_le"])
def test_unknown_datatype_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="valid: SigMF's"):
        numbers.dtype(wrong)


def test_datatypes_are_numpys() -> None:
    assert numbers.dtype("ru32_le") == np.dtype("<u4")
    assert numbers.dtype("ri16_be") == np.dtype(">i2")
    assert numbers.dtype("cf32_le") == np.dtype("<c8")
    assert numbers.dtype("ci16_le").names == ("i", "q")


def test_stream_that_is_none_or_is_closed_at_once_is_said(serve: Serve) -> None:
    with pytest.raises(TargetError, match="not the capture stream: magic"):
        list(cc.stream("127.0.0.1", serve(b"SSH-2.0".ljust(48))))
    with pytest.raises(TargetError, match="capturectl allow"):
        list(cc.stream("127.0.0.1", serve(b"")))
    with pytest.raises(TargetError, match="ended inside a record"):
        list(cc.stream("127.0.0.1", serve(capture()[:100])))


def test_blocks_are_views_and_a_kept_one_is_never_written_over(serve: Serve) -> None:
    kept = list(cc.stream("127.0.0.1", serve(capture(8))))
    assert (np.concatenate([block.samples for block in kept]) == np.arange(8 * BLOCK // 4)).all()
    assert all(block.samples.base is not None for block in kept)


def test_loop_that_keeps_nothing_uses_the_same_buffer_again() -> None:
    pool = live.Pool()
    first = pool.take(BLOCK)
    place = first.ctypes.data
    part = first[10:20]
    del first
    second = pool.take(BLOCK)
    assert second.ctypes.data != place, "a part is still held"
    del part
    assert pool.take(BLOCK).ctypes.data == place


def receive(serve: Serve, name: Path, data: bytes) -> int:
    options = ["receive", "127.0.0.1", "--port", str(serve(data)), "--output", str(name), "--sample-rate=1000"]
    return command_line.main([*options, "--pattern=counter"])


def test_received_recording_is_sigmf_with_its_gap(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receive(serve, tmp_path / "take", capture(4, gap=2)) == 1, "a gap is not whole"
    assert "blocks skipped 1" in capsys.readouterr().out
    found = sigmf.sigmffile.fromfile(str(tmp_path / "take.sigmf-meta"))
    found.validate()
    take = cc.open_recording(tmp_path / "take")
    assert isinstance(take.samples, np.memmap)
    assert take.rate == 1000
    assert take.gaps == ((2 * BLOCK // 4, BLOCK // 4, BLOCK),)
    assert take.samples[2 * BLOCK // 4] == 3 * BLOCK // 4
    assert receive(serve, tmp_path / "take", capture()) == 2, "never written over"
    assert "valid: a new name" in capsys.readouterr().err


def test_enough_ends_before_the_capture_does(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = str(serve(capture(8)))
    options = ["receive", "127.0.0.1", "--port", port, "--pattern=counter", f"--bytes={2 * BLOCK - 1}"]
    assert command_line.main([*options, "--output", str(tmp_path / "part")]) == 0
    assert "; enough" in capsys.readouterr().out
    part = cc.open_recording(tmp_path / "part")
    assert part.samples.nbytes == 2 * BLOCK
    assert "ended early" not in (tmp_path / "part.sigmf-meta").read_text()
    with pytest.raises(SystemExit):
        command_line.main(["receive", "127.0.0.1", "--bytes=0"])
    assert "valid: a number of bytes" in capsys.readouterr().err


def test_enough_with_a_gap_is_damaged(serve: Serve) -> None:
    options = ["receive", "127.0.0.1", "--port", str(serve(capture(8, gap=1))), "--pattern=counter"]
    assert command_line.main([*options, f"--bytes={3 * BLOCK}"]) == 1


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"valid: a \.sigmf-meta"):
        cc.open_recording(tmp_path / "none")
    (tmp_path / "bad.sigmf-meta").write_text("[]")
    with pytest.raises(UserError, match="no recording"):
        cc.open_recording(tmp_path / "bad.sigmf-meta")


def tone(folder: Path, datatype: str = "ri16_le", gap: bool = False) -> cc.Recording:
    """A second of 1 kHz at 48 kHz."""
    wanted = (np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000) * 20000).astype("<i2")
    with recordings.Writer(folder / "tone", datatype, 48000) as writer:
        writer.write(Header(0, 40000, 0, 0, 0, 1), wanted[:20000].tobytes())
        writer.write(Header(FLAG_GAP if gap else 0, 2000, 2, 0, 4096 if gap else 0, 1), wanted[20000:21000].tobytes())
        writer.write(Header(0, 54000, 3, 0, 0, 1), wanted[21000:].tobytes())
    return cc.open_recording(folder / "tone")


def test_conversion_refuses_what_does_not_fit_and_keeps_every_sample(tmp_path: Path) -> None:
    take = tone(tmp_path)
    name = str(tmp_path / "tone")
    assert command_line.main(["convert", name, "--output", str(tmp_path / "tone.mp3")]) == 2
    assert command_line.main(["convert", name, "--output", str(tmp_path / "tone.npy")]) == 0
    assert (np.load(tmp_path / "tone.npy") == take.samples).all()
    assert command_line.main(["convert", name, "--output", str(tmp_path / "tone.npy")]) == 2
    assert command_line.main(["convert", name, "--output", str(tmp_path / "tone.wav")]) == 0
    with wave.open(str(tmp_path / "tone.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48000, 1, 2)
        assert (np.frombuffer(file.readframes(file.getnframes()), "<i2") == take.samples).all()


def test_wav_does_not_take_unsigned_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tone(tmp_path, "ru32_le")
    assert command_line.main(["convert", str(tmp_path / "tone"), "--output", str(tmp_path / "x.wav")]) == 2
    assert "do not fit" in capsys.readouterr().err


def test_spectrum_has_its_line_where_the_tone_is_and_windows_avoid_the_gap(tmp_path: Path) -> None:
    places, level = plots.spectrum(tone(tmp_path, gap=True))
    assert abs(places[int(level.argmax())] - 1000) < 48000 / plots.WINDOW
    assert level[places > 3000].max() < -60


def test_envelope_misses_no_peak() -> None:
    samples = np.zeros(1_000_000, "<i2")
    samples[777_777] = 99
    assert plots.envelope(samples)[2].max() == 99


def test_plots_are_files_that_need_nothing_else(tmp_path: Path) -> None:
    tone(tmp_path, gap=True)
    name = str(tmp_path / "tone")
    assert command_line.main(["plot", name, "--output", str(tmp_path / "tone.gif")]) == 2
    assert command_line.main(["plot", name, "--output", str(tmp_path / "tone.png")]) == 0
    assert (tmp_path / "tone.png").read_bytes().startswith(b"\x89PNG")
    assert command_line.main(["plot", name, "--output", str(tmp_path / "tone.html")]) == 0
    drawn = (tmp_path / "tone.html").read_bytes()
    assert command_line.main(["plot", name, "--output", str(tmp_path / "tone.html"), "--first=5"]) == 2
    assert (tmp_path / "tone.html").read_bytes() == drawn, "nothing that exists is written over"
    text = (tmp_path / "tone.html").read_text()
    assert "<svg" in text
    assert "<script" not in text
    assert 'src="' not in text


def test_conversion_that_fails_leaves_nothing_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tone(tmp_path)
    options = ["convert", str(tmp_path / "tone"), "--output", str(tmp_path / "tone.wav")]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(wave.Wave_write, "writeframes", full)
        assert command_line.main(options) == 1
    assert "No space left" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["tone.sigmf-data", "tone.sigmf-meta"]
    assert command_line.main(options) == 0


@pytest.mark.parametrize("datatype", ["ru32_le", "ri16_be", "cf32_le", "ci16_le", "ru8"])
def test_numpys_format_takes_every_type(tmp_path: Path, datatype: str) -> None:
    take = tone(tmp_path, datatype)
    assert command_line.main(["convert", str(take.path), "--output", str(tmp_path / "tone.npy")]) == 0
    found = np.load(tmp_path / "tone.npy")
    assert (found.dtype, found.tobytes()) == (take.samples.dtype, take.samples.tobytes())


@pytest.mark.parametrize("rate", ["'48000'", "-1", "true"])
def test_recording_whose_rate_is_no_number_is_refused(tmp_path: Path, rate: str) -> None:
    tone(tmp_path)
    meta = tmp_path / "tone.sigmf-meta"
    meta.write_text(meta.read_text().replace("48000.0", rate.replace("'", '"')))
    with pytest.raises(UserError, match="core:sample_rate is"):
        cc.open_recording(meta)


def made_of(folder: Path, samples: npt.NDArray[Any], datatype: str, gaps: Container[int] = ()) -> cc.Recording:
    """A recording of blocks of 4 KiB; `gaps`: before these as many bytes are missing."""
    data = samples.tobytes()
    with recordings.Writer(folder / "made", datatype) as writer:
        for number in range(-(-len(data) // BLOCK)):
            flags, lost = (FLAG_GAP, BLOCK) if number in gaps else (0, 0)
            writer.write(Header(flags, BLOCK, number, 0, lost, 1), data[number * BLOCK : (number + 1) * BLOCK])
    return cc.open_recording(folder / "made")


def test_one_sample_is_seen(tmp_path: Path) -> None:
    (dot,) = plots._figure(made_of(tmp_path, np.array([5], "<u4"), "ru32_le")).axes[0].lines
    assert (list(dot.get_ydata()), dot.get_marker()) == ([5], ".")


def test_what_is_no_number_costs_its_window_only(tmp_path: Path) -> None:
    wanted = np.sin(2 * np.pi * np.arange(1 << 17) / 64).astype("<f4")
    wanted[5000], wanted[70000] = np.nan, np.inf
    places, level = plots.spectrum(made_of(tmp_path, wanted, "rf32_le"))
    assert abs(places[int(level.argmax())] - 1 / 64) < 1 / plots.WINDOW
    low, high = plots.envelope(wanted[:10000], 1)[1:]
    assert (low[0], high[0]) == (-1, 1)


def test_gaps_beyond_counting_are_drawn_as_one_and_single_ones_keep_their_label(tmp_path: Path) -> None:
    count = 3000
    take = made_of(tmp_path, np.zeros(count * 1024, "<u4"), "ru32_le", {1000, *range(2000, count)})
    assert len(take.gaps) == 1001
    first, rest = plots.spans(take)
    assert first == (1000 * 1024, 1024, BLOCK)
    assert rest == (2000 * 1024, 1000 * 1024, 1000 * BLOCK)
    lost = plots._figure(take).axes[2]
    assert [text.get_text() for text in lost.texts] == ["4,096 B", "4,096,000 B"]
    shown = io.StringIO()
    lost.figure.savefig(shown, format="svg")
    assert shown.getvalue().count("<!-- 4,096") == 2, "where they are seen"
    assert lost.get_title() == "1001 gaps, 4,100,096 bytes lost"


def test_plot_of_a_long_recording_needs_little_memory(tmp_path: Path) -> None:
    """64 MiB in one column, as of a recording of 100 GiB; as complex numbers they would be 256 MiB."""
    with (tmp_path / "long").open("wb") as file:
        file.truncate(64 << 20)
    samples = np.memmap(tmp_path / "long", numbers.dtype("ci16_le"), "r")
    tracemalloc.start()
    plots.envelope(samples, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20


def test_package_installs_alone(tmp_path: Path) -> None:
    """The wheel holds the linked modules as files, and works where nothing else of the repository is."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    source = tmp_path / "source"  # with what the links mean, as pip's own copy has it
    shutil.copytree(paths.ROOT / "host", source, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([*command, "-w", str(tmp_path), str(source)], check=True, capture_output=True)
    (made,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(tmp_path / "alone")
    code = "import cyclone_capture.cli as c, sys; sys.exit(c.main(['receive', '127.0.0.1', '--port', '1']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "alone"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "cannot connect" in done.stderr
