# SPDX-License-Identifier: MIT
"""`capturectl`: the control socket for a person and for scripts.

    capturectl status                                           what the service does, counts and owns
    capturectl top                                              the same, live
    capturectl start --pattern prbs31 --rate 50MiB --bytes 1GiB begin a capture
    capturectl record --start --rate 8MiB --bytes 1GiB          begin one and record it; without --start: what runs
    capturectl record-stop                                      end the recording, not the capture
    capturectl stop                                             end the capture
    capturectl sinks                                            readers and recordings, one a line
    capturectl allow 192.168.7.2                                let an address read until the service ends
    capturectl config [--check FILE]                            the configuration in force there, or an error
    capturectl reload                                           read the configuration file anew
    capturectl benchmark-disk --save                            which writer is the quickest on this card
    capturectl partition [--export NAME --folder FOLDER]        recordings in the configured partition; take one out
    capturectl health                                           exit status 0 when the service answers, with its device

`--json` prints one line for a program. Exit status: 0 done; 1 the service does not answer, or is not healthy; 2 the
request was refused.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captured.abi import PATTERNS
from captured.client import CONTROL, ask
from captured.errors import CapturedError, ConfigError, RefusedError

_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_POLL_SECONDS = 0.1
_MOST_SECONDS = 86400


def size(text: str) -> int:
    """Bytes in `text`, such as `4096` or `1GiB`. Raises argparse.ArgumentTypeError."""
    match = re.fullmatch(r"(\d{1,18})(KiB|MiB|GiB|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} (valid: a number of bytes, or one with KiB, MiB or GiB)")
    return int(match[1]) * _UNITS[match[2]]


def seconds(text: str) -> float:
    """Seconds in `text`. Raises argparse.ArgumentTypeError."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} (valid: seconds, at most {_MOST_SECONDS})")
    return found


def _order(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pattern", choices=sorted(PATTERNS), default="counter")
    parser.add_argument("--rate", type=size, default=0, help="bytes a second; 0: as fast as they are taken")
    parser.add_argument("--bytes", type=size, help="end after so many (default: until stop)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="capturectl", description="Controls the capture service.")
    parser.add_argument("--control", type=Path, default=CONTROL, help="the service's socket")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, said: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=said)
        made.add_argument("--json", action="store_true", help="on one line, for a program")
        return made

    command("status", "what the service does, counts and owns")
    top = command("top", "the same, live, until Ctrl-C")
    top.add_argument("--seconds", type=seconds, default=1.0, help="between two looks")
    top.add_argument("--once", action="store_true", help="one look, without clearing the screen")
    start = command("start", "begin a capture")
    _order(start)
    start.add_argument("--clients", type=int, default=0, help="begin when at least so many readers are connected")
    start.add_argument("--patience", type=seconds, default=10.0, help="seconds to wait for them")
    command("stop", "end the capture")
    record = command("record", "record the running capture from its next block on")
    record.add_argument("--start", action="store_true", help="begin a capture, and record it whole")
    record.add_argument("--name", help="of the recording (default: the time)")
    _order(record)
    command("record-stop", "end the recording, not the capture")
    command("sinks", "readers and recordings")
    command("allow", "let an address or network read until the service ends").add_argument("address")
    config = command("config", "every key of the configuration, as TOML")
    config.add_argument("--check", type=Path, metavar="FILE", help="of this file (default: the service's)")
    command("reload", "read the configuration file anew")
    bench = command("benchmark-disk", "measure the writers")
    bench.add_argument("--folder", type=Path, help="where (default: the configured folder of recordings)")
    bench.add_argument("--bytes", type=size, default=128 << 20, help="to write with each")
    bench.add_argument("--block", type=size, default=1 << 20, help="at once")
    bench.add_argument("--save", action="store_true", help="use the quickest from now on (disk.writer = auto)")
    partition = command("partition", "recordings in a partition without a file system")
    partition.add_argument("--device", type=Path, help="which (default: the configuration's disk.partition)")
    partition.add_argument("--export", metavar="NAME", help="write this one as SigMF")
    partition.add_argument("--folder", type=Path, default=Path(), help="where to (default: here)")
    command("grant-partition", "as root, before the service starts: let it write to disk.partition")
    command("health", "exit status 0 when the service answers and has its device")
    return parser


def _start(options: argparse.Namespace) -> dict[str, object]:
    give_up = time.monotonic() + options.patience
    while ask(options.control, {"command": "status"})["clients"] < options.clients and time.monotonic() < give_up:
        time.sleep(_POLL_SECONDS)
    request = {name: getattr(options, name) for name in ("command", "pattern", "rate", "bytes", "clients")}
    return ask(options.control, request)


def _record(options: argparse.Namespace) -> dict[str, object]:
    request: dict[str, object] = {"command": "record", "name": options.name, "start": options.start}
    if options.start:
        request |= {name: getattr(options, name) for name in ("pattern", "rate", "bytes")}
    elif options.rate or options.bytes:
        raise RefusedError("--rate, --bytes: belong to a capture that begins (valid: with --start)")
    return ask(options.control, request)


def _health(control: Path) -> dict[str, object]:
    status = ask(control, {"command": "status"})
    if not status["device"]["open"]:
        raise CapturedError(f"the capture device is not open: {status['device']['reason']}")
    if status["configuration"]["error"]:
        raise CapturedError(f"the configuration is wrong: {status['configuration']['error']}")
    said = f"healthy: board {status['board']}, fabric {status['device']['fabric_id']:#x}"
    return {"ok": True, "said": f"captured: {said}"}


def _config(options: argparse.Namespace) -> dict[str, object]:
    from captured import config, facts

    if options.check is not None and not options.check.exists():
        raise RefusedError(f"{options.check}: no such file (valid: a TOML file)")
    found = config.load(options.check or config.CONFIG, facts.load())
    return {"ok": True, "said": config.text(found).rstrip()}


def _benchmark(options: argparse.Namespace) -> dict[str, object]:
    from captured import benchmark, config, facts

    folder = options.folder or config.load(config.CONFIG, facts.load()).disk.folder
    return benchmark.run(folder, options.bytes, options.block, options.save)


def _partition(options: argparse.Namespace) -> dict[str, object]:
    from captured import partition_ctl

    if options.command == "grant-partition":
        return partition_ctl.grant()
    return partition_ctl.show(options.device, options.export, options.folder)


def _run(options: argparse.Namespace) -> Mapping[str, Any]:
    special = {"start": _start, "record": _record, "config": _config, "benchmark-disk": _benchmark}
    special |= {"partition": _partition, "grant-partition": _partition}
    if options.command in special:
        return special[options.command](options)
    if options.command == "health":
        return _health(options.control)
    request = {"command": options.command}
    if options.command == "allow":
        request["address"] = options.address
    return ask(options.control, request)


def _show(options: argparse.Namespace, reply: Mapping[str, Any]) -> None:
    if not options.json and "said" in reply:
        print(reply["said"])
    elif not options.json and options.command in ("status", "sinks"):
        from captured import top

        print("\n".join(top.page(reply) if options.command == "status" else top.sinks(reply["sinks"])))
    else:
        print(json.dumps(reply))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit status."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack the characters of bars
    try:
        if options.command == "top":
            from captured import top

            top.run(options.control, options.seconds, options.once, options.json)
        else:
            _show(options, _run(options))
        sys.stdout.flush()
    except (RefusedError, ConfigError) as error:
        print(f"capturectl: refused: {error}", file=sys.stderr)
        return 2
    except CapturedError as error:
        print(f"capturectl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # `| head` has seen enough; what is still buffered goes nowhere, without a word
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
