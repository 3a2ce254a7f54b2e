# SPDX-License-Identifier: MIT
"""`capturectl`: the control socket for a person and for scripts.

    capturectl status                                           what the service does, counts and owns, as JSON
    capturectl start --pattern prbs31 --rate 50MiB --bytes 1GiB begin a capture
    capturectl stop                                             end it
    capturectl health                                           exit status 0 when the service answers, with its device

Exit status: 0 done; 1 the service does not answer, or is not healthy; 2 the request was refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path

from captured import abi
from captured.client import CONTROL, ask
from captured.errors import CapturedError, RefusedError

_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_POLL_SECONDS = 0.1


def size(text: str) -> int:
    """Bytes in `text`, such as `4096` or `1GiB`. Raises argparse.ArgumentTypeError."""
    match = re.fullmatch(r"(\d{1,18})(KiB|MiB|GiB|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} (valid: a number of bytes, or one with KiB, MiB or GiB)")
    return int(match[1]) * _UNITS[match[2]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="capturectl", description="Controls the capture service.")
    parser.add_argument("--control", type=Path, default=CONTROL, help="the service's socket")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="print what the service does, as JSON")
    status.add_argument("--json", action="store_true", help="on one line, for a program")
    start = commands.add_parser("start", help="begin a capture")
    start.add_argument("--pattern", choices=sorted(abi.PATTERNS), default="counter")
    start.add_argument("--rate", type=size, default=0, help="bytes a second; 0: as fast as they are taken")
    start.add_argument("--bytes", type=size, help="end after so many (default: until stop)")
    start.add_argument("--clients", type=int, default=0, help="begin when at least so many readers are connected")
    start.add_argument("--patience", type=float, default=10.0, help="seconds to wait for them")
    commands.add_parser("stop", help="end the capture")
    commands.add_parser("health", help="exit status 0 when the service answers and has its device")
    return parser


def _start(options: argparse.Namespace) -> dict[str, object]:
    give_up = time.monotonic() + options.patience
    while ask(options.control, {"command": "status"})["clients"] < options.clients and time.monotonic() < give_up:
        time.sleep(_POLL_SECONDS)
    request = {name: getattr(options, name) for name in ("command", "pattern", "rate", "bytes", "clients")}
    return ask(options.control, request)


def _health(control: Path) -> str:
    status = ask(control, {"command": "status"})
    if not status["device"]["open"]:
        raise CapturedError("the capture device is not open")
    return f"captured: healthy: board {status['board']}, fabric {status['device']['fabric_id']:#x}"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "health":
            print(_health(options.control))
        elif options.command == "start":
            print(json.dumps(_start(options)))
        else:
            indent = None if getattr(options, "json", True) else 2
            print(json.dumps(ask(options.control, {"command": options.command}), indent=indent))
    except RefusedError as error:
        print(f"capturectl: refused: {error}", file=sys.stderr)
        return 2
    except CapturedError as error:
        print(f"capturectl: {error}", file=sys.stderr)
        return 1
    return 0
