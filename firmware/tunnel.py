# SPDX-License-Identifier: MIT
"""A reverse tunnel: the board reads one file of this computer by HTTP from its own loopback, through SSH.

So the board needs no route to this computer and no room for the file, and nothing listens here. Each connection that a
process on the board makes is answered by a thread, straight from the SSH channel.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from firmware.errors import TargetError
from firmware.httpd import RangeServer
from firmware.ssh import Target

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Tunnel:
    """Where the board finds the file, and the server that counts what it fetched."""

    url: str
    server: RangeServer


@contextlib.contextmanager
def serve(target: Target, file: Path) -> Iterator[Tunnel]:
    """Offer `file` to the board while the block runs. Raises TargetError when it refuses the tunnel."""
    server, transport = RangeServer(file), target.transport
    channels: list[paramiko.Channel] = []
    threads: list[threading.Thread] = []

    def answer(channel: paramiko.Channel, _origin: tuple[str, int], _here: tuple[str, int]) -> None:
        channels.append(channel)
        threads.append(threading.Thread(target=_answer, args=(server, channel), daemon=True))
        threads[-1].start()

    try:
        port = transport.request_port_forward(LOOPBACK, 0, answer)
    except paramiko.SSHException as error:
        server.close()
        raise TargetError(target.name, f"refuses a reverse tunnel: {error} (valid: AllowTcpForwarding yes)") from error
    try:
        yield Tunnel(f"http://{LOOPBACK}:{port}{server.path}", server)
    finally:
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            transport.cancel_port_forward(LOOPBACK, port)
        for channel in channels:
            with contextlib.suppress(OSError, EOFError):
                channel.close()
        for thread in threads:  # they end when their channel is closed; the file must outlive them
            thread.join()
        server.close()


def _answer(server: RangeServer, channel: paramiko.Channel) -> None:
    gone = contextlib.suppress(OSError, EOFError)  # a channel says EOFError to its close when the link has dropped
    with gone, contextlib.closing(channel):
        server.serve(channel)
