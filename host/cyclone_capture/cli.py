# SPDX-License-Identifier: MIT
"""`cyclone-capture`: captures on the engineer's computer.

    cyclone-capture receive board-7 --pattern counter          check a test pattern, count what is missing
    cyclone-capture receive board-7 --output take              write SigMF: take.sigmf-data, take.sigmf-meta
    cyclone-capture receive board-7 --bytes 64MiB --output take    so much of the capture that runs
    cyclone-capture plot take --output take.html               waveform, spectrum, gaps; .png or .html
    cyclone-capture plot take --first 10000 --samples 500 --output part.png    a part of it; convert, too
    cyclone-capture convert take --output take.npy             .npy, or .wav where it fits
    cyclone-capture partition /dev/sdX5                        recordings in a partition of a board's card, or in a copy
    cyclone-capture partition copy.img --name NAME --output take   one of them as SigMF

Exit status: 0 all is whole; 1 something is missing or damaged; 2 the input is wrong; 4 the board failed; 130 Ctrl-C
or SIGTERM. `receive` and `convert` write over no file. What was received before an error or Ctrl-C is kept as a
recording, whose metadata says why it ended.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from . import pattern as patterns
from .errors import FirmwareError, UserError
from .files import Writer, open_recording
from .live import PORT
from .receiver import TIMEOUT_SECONDS, Receiver, live_line

_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cyclone-capture", description="Receives, plots and converts captures.")
    commands = parser.add_subparsers(dest="command", required=True)
    receive = commands.add_parser("receive", help="take one capture, to its end")
    receive.add_argument("host")
    receive.add_argument("--port", type=int, default=PORT)
    receive.add_argument("--pattern", choices=sorted(patterns.CHECKERS), default="none", help="check this pattern")
    receive.add_argument("--output", type=Path, help="name of a SigMF recording to write")
    receive.add_argument("--datatype", default="ru32_le", help="SigMF datatype of the samples")
    receive.add_argument("--sample-rate", type=float, default=0.0, help="samples a second, for the metadata")
    receive.add_argument("--bytes", type=_size, help="end with the block that makes so many, such as 64MiB")
    receive.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="longest silence, seconds")
    for name, said in (("plot", "draw a recording"), ("convert", "write a recording in another format")):
        made = commands.add_parser(name, help=said)
        made.add_argument("recording", type=Path)
        made.add_argument("--output", type=Path, required=True)
        made.add_argument("--first", type=int, default=0, help="the first sample that is taken (default: 0)")
        made.add_argument("--samples", type=int, help="how many are taken (default: all that follow)")
    partition = commands.add_parser("partition", help="recordings in a partition without a file system")
    partition.add_argument("device", type=Path, help="the partition, or a copy of it in a file")
    partition.add_argument("--name", help="of the recording to take out (default: list them)")
    partition.add_argument("--output", type=Path, help="name of a SigMF recording to write")
    return parser


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d{1,18})(KiB|MiB|GiB|)", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} (valid: a number of bytes, or one with KiB, MiB or GiB)")
    return int(match[1]) * _UNITS[match[2]]


def _partition(options: argparse.Namespace) -> int:
    from .raw import listing, take_out

    if options.name is None and options.output is not None:
        raise UserError("--output: of which recording? (valid: with --name)")
    if options.name is None:
        print(listing(options.device))
    elif options.output is None:
        raise UserError("--name: and where to? (valid: with --output)")
    else:
        take_out(options.device, options.name, options.output)
    return 0


def _receive(options: argparse.Namespace) -> int:
    connection = (options.host, options.port, options.pattern, options.timeout)
    if options.output is None:
        with Receiver(*connection) as receiver:
            seen = receiver.run(live_line(), enough=options.bytes)
    else:
        # the output first: a board may begin as soon as somebody is connected
        writer = Writer(options.output, options.datatype, options.sample_rate)
        try:
            with _ended_in_order(), writer, Receiver(*connection) as receiver:
                seen = receiver.run(live_line(), writer.write, options.bytes)
                writer.ended_early = "" if seen.ended or seen.stopped else "no end record came"
        except (FirmwareError, OSError, KeyboardInterrupt):
            if writer.size:
                print(f"{writer.kept}: {writer.size} bytes that came before are kept", file=sys.stderr)
            raise
    print(seen)
    return 0 if seen.whole or (seen.stopped and seen.undamaged) else 1


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """A session that ends (SIGTERM; SIGHUP, unless `nohup` ignores it) is as Ctrl-C."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [signal.Signals[name] for name in names if signal.getsignal(signal.Signals[name]) is signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "receive":
            return _receive(options)
        if options.command == "partition":
            return _partition(options)
        recording = open_recording(options.recording).part(options.first, options.samples)
        if options.command == "plot":
            from .plot import plot

            plot(recording, options.output)
        else:
            from .convert import convert

            convert(recording, options.output)
    except FirmwareError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    return 0
