# SPDX-License-Identifier: MIT
"""The daemon `captured`: reads the configuration, opens what it names, and runs the service.

Signals: SIGTERM and SIGINT end it in order, SIGHUP reads the configuration anew. A configuration that is wrong does not
keep it from running: it runs with its defaults, which let nobody read the stream, and says so in status and health.
Exit status 0 after a signal, 1 when it can't run.
"""

from __future__ import annotations

import argparse
import errno
import functools
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
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
INTERFACE_SECONDS = 20.0  # until the configured interface, of USB perhaps, must be there
Listeners = list[socket.socket | None]


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
    found, (stream, raw, page), wrong = configured(options, board)
    assert stream is not None  # noqa: S101  # for mypy: its port is never 0
    open_ring = functools.partial(DeviceRing, options.device, board.fabric_id)
    service = Service(board, open_ring, stream, options.control, found, options.config, raw, page)
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


def configured(options: argparse.Namespace, board: facts.Facts) -> tuple[config.Config, Listeners, str]:
    """The configuration, its listeners (stream, raw, page), and what is wrong with the file: then all by default."""
    try:
        found = config.load(options.config, board)
        return found, _listen(options, found), ""
    except ConfigError as error:
        _log.error("configuration: %s; running with the defaults", error)
        found = config.defaults(board)
        return found, _listen(options, found), str(error)


def _listen(options: argparse.Namespace, found: config.Config) -> Listeners:
    """Raises ConfigError that names the key: a port that is taken or not for us, an interface that is not there."""
    tcp = found.tcp
    stream = functools.partial(sink_tcp.listen, host=options.listen, interface=tcp.interface)
    wanted: list[tuple[str, int, Callable[[int], socket.socket]]] = [
        ("tcp.port", options.port or tcp.port, stream),
        ("tcp.raw_port", tcp.raw_port, stream),
        ("http.port", found.http.port, lambda port: socket.create_server((LOOPBACK, port))),
    ]
    made: Listeners = []
    for key, port, listen in wanted:
        try:
            made.append(_patiently(listen, port) if port else None)
        except OSError as error:
            for one in made:
                if one is not None:
                    one.close()
            if error.errno == errno.ENODEV:
                said = f"tcp.interface: {tcp.interface!r}: {error.strerror} (valid: a network interface of this board)"
            else:
                said = f"{key}: {port}: {os.strerror(error.errno or 0)} (valid: a free port from 1024 on)"
            raise ConfigError(f"{options.config}: {said}") from error
    return made


def _patiently(listen: Callable[[int], socket.socket], port: int) -> socket.socket:
    give_up = time.monotonic() + INTERFACE_SECONDS
    while True:
        try:
            return listen(port)
        except OSError as error:
            if error.errno != errno.ENODEV or time.monotonic() >= give_up:
                raise
            time.sleep(0.2)
