# SPDX-License-Identifier: MIT
"""The daemon `captured`: reads the configuration, opens what it names, and runs the service.

Signals: SIGTERM and SIGINT end it in order, SIGHUP reads the configuration anew. A configuration that is wrong does not
keep it from running: it runs with its defaults, which let nobody read the stream, and says so in status and health.
Exit status 0 after a signal, 1 when it can't run.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
from pathlib import Path

from captured import config, facts, journal, sink_tcp
from captured.client import CONTROL
from captured.errors import CapturedError, ConfigError
from captured.notify import notify
from captured.ring import DeviceRing
from captured.service import Service

_log = logging.getLogger(__name__)
DEVICE = "/dev/capture0"
LOOPBACK = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon; exit status."""
    parser = argparse.ArgumentParser(prog="captured", description="Streams and records captures from the ring.")
    parser.add_argument("--device", default=DEVICE)
    parser.add_argument("--control", type=Path, default=CONTROL)
    parser.add_argument("--config", type=Path, default=config.CONFIG)
    parser.add_argument("--port", type=int, help="TCP port of the stream (default: the configuration's)")
    parser.add_argument("--listen", metavar="ADDRESS", help="one address to listen on (default: all)")
    options = parser.parse_args(arguments)
    journal.set_up()
    try:
        _serve(options)
    except (CapturedError, OSError) as error:
        _log.error("%s", error)
        notify(f"STATUS={error}")
        return 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    board = facts.load()
    found, wrong = config.defaults(board), ""
    try:
        found = config.load(options.config, board)
    except ConfigError as error:
        wrong = str(error)
        _log.error("configuration: %s; running with the defaults", error)
    tcp = found.tcp
    service = Service(
        board,
        lambda: DeviceRing(options.device, board.fabric_id),
        sink_tcp.listen(options.port or tcp.port, options.listen, tcp.interface),
        options.control,
        found,
        options.config,
        sink_tcp.listen(tcp.raw_port, options.listen, tcp.interface) if tcp.raw_port else None,
        socket.create_server((LOOPBACK, found.http.port)) if found.http.port else None,
    )
    service.config_error = wrong
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)  # the wake-up descriptor does the work
        signal.set_wakeup_fd(service.wake.fileno(), warn_on_full_buffer=False)
        _log.info("serving", extra={"fields": {"board": board.board}})
        service.run()
    finally:
        signal.set_wakeup_fd(-1)
        service.close()
