# SPDX-License-Identifier: MIT
"""The receiver: refuses what is no stream, finds every damaged word, and tells loss from damage."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from firmware import pattern, wire
from firmware.errors import TargetError, UserError
from firmware.receiver import Reception, main, receive
from tests.unit.fake_ring import counter, prbs31, words

pytestmark = pytest.mark.unit

Block = npt.NDArray[np.uint32]
Serve = Callable[[bytes], int]
COUNT = 1024


def stream(blocks: list[Block], gaps: dict[int, int] | None = None, first: int = 0, end: bool = True) -> bytes:
    """Records of `blocks`; `gaps` gives lost bytes by place."""
    gaps = gaps or {}
    parts = []
    for place, block in enumerate(blocks):
        flags = wire.FLAG_GAP if place in gaps else 0
        header = wire.Header(flags, block.nbytes, first + place, place, gaps.get(place, 0), 1)
        parts += [wire.pack(header), block.tobytes()]
    if end:
        parts.append(wire.pack(wire.Header(wire.FLAG_END, 0, first + len(blocks), 0, sum(gaps.values()), 1)))
    return b"".join(parts)


def blocks_of(source: Iterator[int], count: int = 4) -> list[Block]:
    return [words(source, COUNT) for _ in range(count)]


def got(serve: Serve, data: bytes, kind: str = "counter") -> Reception:
    return receive("127.0.0.1", serve(data), kind, timeout=20)


def test_wrong_magic_is_named_with_its_place(serve: Serve) -> None:
    data = stream(blocks_of(counter()), end=False) + b"SSH-2.0-OpenSSH".ljust(48, b" ")
    with pytest.raises(TargetError, match=r"magic is b'SSH-' \(valid: b'CCAP'\) \(record 4, behind 16384 bytes"):
        got(serve, data)


@pytest.mark.parametrize(
    ("cut", "said"), [(47, "47 of 48 bytes of a header"), (1000, "952 of 4096 bytes of a payload")]
)
def test_stream_that_ends_inside_a_record_is_an_error(serve: Serve, cut: int, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        got(serve, stream(blocks_of(counter()))[:cut])


def test_stream_without_an_end_record_is_not_whole(serve: Serve) -> None:
    seen = got(serve, stream(blocks_of(counter()), end=False))
    assert (seen.bytes, seen.ended, seen.whole) == (4 * COUNT * 4, False, False)


def test_nobody_there_unknown_pattern_and_impossible_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(TargetError, match="cannot connect"):
            receive("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(UserError, match=r"'sine' \(valid: counter, prbs31, ramp, none\)"):
        receive("127.0.0.1", 1, "sine")
    with pytest.raises(UserError, match="1 to 65535"):
        receive("127.0.0.1", 70000)


def test_silence_is_an_error_after_the_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(TargetError, match=r"nothing came for 0\.05 s"),
    ):
        receive("127.0.0.1", listener.getsockname()[1], timeout=0.05)


def test_silence_inside_a_payload_is_an_error_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent: list[socket.socket] = []

        def work() -> None:
            silent.append(listener.accept()[0])
            silent[0].sendall(stream(blocks_of(counter()))[:1000])

        thread = threading.Thread(target=work)
        thread.start()
        with pytest.raises(TargetError, match=r"nothing came for 0\.25 s, behind 0 bytes"):
            receive("127.0.0.1", listener.getsockname()[1], timeout=0.25)
        thread.join()
        silent[0].close()


@pytest.mark.parametrize("kind", ["counter", "prbs31"])
def test_whole_stream_is_whole(serve: Serve, kind: str) -> None:
    seen = got(serve, stream(blocks_of(counter() if kind == "counter" else prbs31())), kind)
    assert seen.whole
    assert (seen.blocks, len(seen.arrivals), seen.corrupt) == (4, 4, 0)


PLACES = [(0, 0), (0, 5), (1, 0), (2, COUNT - 1), (3, COUNT - 1)]
# in a block with the gap flag a drop explains the sequence's first word, the last word, and any one PRBS word
FLIPS = [(kind, place, False) for kind in ("counter", "prbs31") for place in PLACES]
FLIPS += [("counter", (0, 5), True), ("counter", (1, 0), True)]


@pytest.mark.parametrize(("kind", "place", "gap"), FLIPS)
@pytest.mark.parametrize("bit", [0, 31])
def test_one_flipped_bit_is_found_wherever_it_is(
    serve: Serve, kind: str, place: tuple[int, int], bit: int, gap: bool
) -> None:
    blocks = blocks_of(counter() if kind == "counter" else prbs31())
    block, word = place
    blocks[block][word] ^= np.uint32(1 << bit)
    seen = got(serve, stream(blocks, {block: 0} if gap else None), kind)
    assert 1 <= seen.corrupt <= 3
    assert not seen.whole


def test_swapped_repeated_and_missing_blocks_are_found(serve: Serve) -> None:
    one, two, three, four = blocks_of(counter())
    for order in ([two, one, three, four], [one, one, three, four], [one, three, four], [one, two, four]):
        assert got(serve, stream(order)).corrupt >= COUNT


def test_zeros_are_no_pseudo_random_sequence(serve: Serve) -> None:
    blocks = blocks_of(prbs31())
    blocks[2][:] = 0
    assert got(serve, stream(blocks), "prbs31").corrupt >= COUNT
    assert got(serve, stream([np.zeros(COUNT, np.uint32)]), "prbs31").corrupt >= COUNT


def test_sequence_that_starts_elsewhere_is_corrupt(serve: Serve) -> None:
    for source, kind in ((counter(), "counter"), (prbs31(), "prbs31")):
        next(source)
        assert got(serve, stream(blocks_of(source)), kind).corrupt >= 1


def with_drops(source: Iterator[int], drops: dict[int, int]) -> list[Block]:
    """Four blocks with so many words dropped before the word at each place."""
    out = []
    for place in range(4 * COUNT):
        for _ in range(drops.get(place, 0)):
            next(source)
        out.append(next(source))
    return [np.array(out[at : at + COUNT], dtype="<u4") for at in range(0, 4 * COUNT, COUNT)]


@pytest.mark.parametrize("kind", ["counter", "prbs31"])
def test_drops_in_flagged_blocks_are_summed_and_are_no_corruption(serve: Serve, kind: str) -> None:
    drops = {COUNT: 10, COUNT + 100: 20, 3 * COUNT + 17: 5}
    blocks = with_drops(counter() if kind == "counter" else prbs31(), drops)
    seen = got(serve, stream(blocks, {1: 120, 3: 20}), kind)
    assert (seen.gaps, seen.lost_bytes, seen.corrupt, seen.ended) == (2, 140, 0, True)
    assert seen.missing_bytes == (140 if kind == "counter" else 0)
    assert not seen.whole


@pytest.mark.parametrize("kind", ["counter", "prbs31"])
def test_drop_in_a_block_without_the_flag_is_corruption(serve: Serve, kind: str) -> None:
    blocks = with_drops(counter() if kind == "counter" else prbs31(), {COUNT + 100: 20})
    seen = got(serve, stream(blocks, {3: 80}), kind)
    assert seen.corrupt >= 1
    assert seen.missing_bytes == 0


def test_counter_wraps_at_32_bits() -> None:
    source = itertools.islice(itertools.cycle([0xFFFFFFFE, 0xFFFFFFFF, 0, 1]), 4)
    checker = pattern.checker("counter")
    checker.check(np.fromiter(source, dtype="<u4").tobytes(), gap=False, first=False)
    assert checker.corrupt == 0


def test_late_reader_takes_the_first_word_as_it_comes(serve: Serve) -> None:
    source = counter()
    words(source, 7 * COUNT)
    seen = got(serve, stream(blocks_of(source), first=7))
    assert (seen.first_sequence, seen.corrupt, seen.ended, seen.whole) == (7, 0, True, False)


def test_break_in_the_sequence_and_wrong_totals_are_seen(serve: Serve) -> None:
    first, second = blocks_of(counter(), 2)
    data = stream([first], end=False) + stream([second], first=5)
    seen = got(serve, data)
    assert (seen.sequence_breaks, seen.ended, seen.whole) == (1, False, False)


def test_command_line_prints_a_summary_and_its_status_tells(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--host", "127.0.0.1", "--port"]
    assert main([*options, str(serve(stream(blocks_of(counter()))))]) == 0
    assert "16384 bytes in 4 blocks" in capsys.readouterr().out
    assert main([*options, str(serve(stream(blocks_of(counter()), end=False)))]) == 1
    assert main([*options, str(serve(b"x" * 48))]) == 4
    assert "not the capture stream" in capsys.readouterr().err
