# SPDX-License-Identifier: MIT
"""`cyclone-capture receive`: what is wrong is refused at once, nothing is written over, nothing is lost unsaid."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import cyclone_capture as cc
import pytest
import sigmf
from cyclone_capture import cli, receiver
from cyclone_capture.errors import TargetError, UserError
from cyclone_capture.files import Writer
from cyclone_capture.record import FLAG_END, FLAG_GAP, HEADER_BYTES, Header, pack

from firmware import paths
from tests.emulated.waiting import until
from tests.unit.test_host_package import BLOCK, capture

pytestmark = pytest.mark.unit

Serve = Callable[[bytes], int]
NOBODY = 1  # no service has this port: who connects gets a TargetError, not a UserError


def run(port: int, *options: object) -> int:
    return cli.main(["receive", "127.0.0.1", "--port", str(port), *map(str, options)])


@pytest.mark.parametrize("suffix", [".sigmf-data", ".sigmf-meta", ".sigmf-data.part", ".sigmf-meta.part"])
def test_no_file_that_exists_is_written_over_and_nobody_is_connected_to(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / f"take{suffix}"
    there.write_text("precious")
    assert run(NOBODY, "--output", tmp_path / "take") == 2
    assert f"{there} exists (valid: a new name)" in capsys.readouterr().err
    assert [(one, one.read_text()) for one in tmp_path.iterdir()] == [(there, "precious")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--output", "/nowhere/at/all/take"], "valid: a name in a folder that you may write"),
        (["--output", "{}/take", "--datatype", "u32"], "datatype 'u32'"),
        (["--output", "{}/take", "--sample-rate", "nan"], "rate nan (valid: samples a second"),
        (["--output", "{}/take", "--sample-rate", "inf"], "rate inf"),
        (["--output", "{}/take", "--sample-rate", "-1"], "rate -1"),
        (["--timeout", "-1"], "timeout -1 (valid: seconds, more than 0"),
        (["--timeout", "0"], "timeout 0"),
        (["--timeout", "nan"], "timeout nan"),
        (["--timeout", "inf"], "timeout inf"),
    ],
)
def test_wrong_value_is_named_and_leaves_nothing(
    tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(NOBODY, *(option.format(tmp_path) for option in options)) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", [".board", "ä" * 80], ids=["empty", "long"])
def test_host_that_is_no_name_is_refused(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["receive", host]) == 2
    assert "valid: a name or an address" in capsys.readouterr().err
    with pytest.raises(UserError, match="port 70000"):
        cc.stream("127.0.0.1", 70000)


@pytest.mark.parametrize("suffix", ["", ".sigmf-meta", ".sigmf-data"])
def test_output_is_a_name_or_one_of_its_files(serve: Serve, tmp_path: Path, suffix: str) -> None:
    assert run(serve(capture()), "--output", tmp_path / f"take{suffix}") == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["take.sigmf-data", "take.sigmf-meta"]


def tail(first: int, blocks: int, behind: int) -> bytes:
    """Blocks from sequence `first` on, and an end record that says that `behind` more passed the reader by."""
    parts = [pack(Header(0, BLOCK, first + at, at, 0, 1)) + bytes(BLOCK) for at in range(blocks)]
    lost = behind * BLOCK
    return b"".join([*parts, pack(Header(FLAG_END | FLAG_GAP, 0, first + blocks + behind, 9, lost, 1))])


@pytest.mark.parametrize("first", [0, 7])
def test_what_was_lost_behind_the_last_block_is_said_everywhere(
    serve: Serve, tmp_path: Path, first: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(serve(tail(first, 4, 3)), "--output", tmp_path / "take") == 1
    assert f"lost {3 * BLOCK} " in (said := capsys.readouterr().out)
    assert "blocks skipped 3" in said
    found = sigmf.sigmffile.fromfile(str(tmp_path / "take.sigmf-meta"))
    found.validate()
    assert cc.open_recording(tmp_path / "take").gaps == ((4 * BLOCK // 4, 0, 3 * BLOCK),)
    stream = cc.stream("127.0.0.1", serve(tail(first, 4, 3)))
    assert stream.end is None
    assert len(list(stream)) == 4
    assert stream.end is not None
    assert (stream.end.lost_bytes, stream.end.flags & FLAG_GAP) == (3 * BLOCK, FLAG_GAP)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its socket to its exit
def test_receiver_that_the_page_shows_counts_everything(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    page = (paths.ROOT / "docs/stream-format.md").read_text()
    found = re.search(r"^    import socket, struct\n(?:    .*\n)+", page, re.MULTILINE)
    assert found is not None
    code = textwrap.dedent(found[0]).replace('("board-7", 7700)', f'("127.0.0.1", {serve(tail(0, 4, 3))})')
    exec(code, {})  # noqa: S102  # our own page
    assert capsys.readouterr().out == f"{4 * BLOCK} bytes, {3 * BLOCK} lost\n"


def note(folder: Path) -> str:
    return str(cc.open_recording(folder / "take").meta["global"]["cyclone_capture:repaired"])


def test_board_that_goes_away_leaves_a_recording_that_says_so(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = capture()[: 2 * (HEADER_BYTES + BLOCK) + 100]
    assert run(serve(data), "--output", tmp_path / "take") == 4
    assert f"take.sigmf-data: {2 * BLOCK} bytes that came before are kept" in capsys.readouterr().err
    assert len(cc.open_recording(tmp_path / "take").samples) == 2 * BLOCK // 4
    assert "ended early" in note(tmp_path)
    assert "inside record 2" in note(tmp_path)


def test_stream_without_an_end_record_leaves_a_recording_that_says_so(serve: Serve, tmp_path: Path) -> None:
    assert run(serve(capture()[:-HEADER_BYTES]), "--output", tmp_path / "take") == 1
    assert "no end record came" in note(tmp_path)


def test_ctrl_c_keeps_what_came_and_is_no_traceback(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(_size: int, _seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "live_line", lambda: pressed)
    assert run(serve(capture()), "--output", tmp_path / "take") == 130
    said = capsys.readouterr().err
    assert f"{BLOCK} bytes that came before are kept" in said
    assert "interrupted" in said
    assert note(tmp_path) == "ended early: interrupted"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_end_of_the_session_is_as_ctrl_c(tmp_path: Path, number: signal.Signals) -> None:
    """A terminal that is closed, or a computer that is shut down in order, costs no metadata."""
    code = "import signal, sys; from cyclone_capture import cli; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    code += "sys.exit(cli.main(sys.argv[1:]))"  # these tests may run under nohup, which ignores SIGHUP for its children
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-c", code, "receive", "127.0.0.1", "--port", port]
        environment = {"PYTHONPATH": str(paths.ROOT / "host"), "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen([*command, "--output", str(tmp_path / "take")], env=environment) as running:
            board = listener.accept()[0]
            board.sendall(capture()[: HEADER_BYTES + BLOCK])
            until(lambda: (tmp_path / "take.sigmf-data.part").stat().st_size >= BLOCK, 20.0)
            running.send_signal(number)
            assert running.wait(20) == 130
            board.close()
    assert note(tmp_path) == "ended early: interrupted"


def test_full_disk_keeps_the_whole_blocks_and_names_the_file(serve: Serve, tmp_path: Path) -> None:
    """No file may be larger than 100,000 bytes: what a full disk does to a write, in the middle of a block too."""
    code = "import resource, sys; from cyclone_capture import cli; "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2); sys.exit(cli.main(sys.argv[1:]))"

    def limited(size: int, port: int) -> subprocess.CompletedProcess[str]:
        options = ["receive", "127.0.0.1", "--port", str(port), "--output", str(tmp_path / "take")]
        return subprocess.run(
            [sys.executable, "-c", code, str(size), *options],
            env={"PYTHONPATH": str(paths.ROOT / "host"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    assert limited(10_000, NOBODY).returncode == 2, "no room for the metadata"
    assert list(tmp_path.iterdir()) == []
    done = limited(100_000, serve(capture(40)))
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "take.sigmf-data.part" in done.stderr
    assert f"take.sigmf-data: {24 * BLOCK} bytes that came before are kept" in done.stderr
    found = sigmf.sigmffile.fromfile(str(tmp_path / "take.sigmf-meta"))
    found.validate()
    assert len(cc.open_recording(tmp_path / "take").samples) == 24 * BLOCK // 4
    assert "File too large" in note(tmp_path)


def test_metadata_has_its_room_before_the_samples_fill_the_disk(tmp_path: Path) -> None:
    with Writer(tmp_path / "take", "ru32_le") as writer:
        writer.write(Header(0, BLOCK, 0, 0, 0, 1), bytes(BLOCK))
        room = (tmp_path / "take.sigmf-meta.part").stat()
        assert room.st_blocks * 512 >= room.st_size == 65536
    assert sorted(one.name for one in tmp_path.iterdir()) == ["take.sigmf-data", "take.sigmf-meta"]


def test_receiver_that_runs_for_days_keeps_16_bytes_a_block(serve: Serve) -> None:
    with receiver.Receiver("127.0.0.1", serve(capture(50)), "counter", 20) as one:
        assert len(one.run().arrivals) == 50
        assert one._arrivals.itemsize + one._filled.itemsize == 16


def test_closed_at_once_is_an_error_that_leaves_nothing(serve: Serve, tmp_path: Path) -> None:
    assert run(serve(b""), "--output", tmp_path / "take") == TargetError.exit_status
    assert list(tmp_path.iterdir()) == []
