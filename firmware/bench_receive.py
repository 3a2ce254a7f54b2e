# SPDX-License-Identifier: MIT
"""The receiver on this computer against iperf3: the same link, one behind the other, several times.

The link is loopback, once paced to the board's 1 Gbit/s (the kernel paces each socket by itself, tcp(7)), once as fast
as it goes; there the two compete with their own senders for the processors, so it is the harder case. The best of
each is compared: all that disturbs makes it slower.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import subprocess

import numpy as np

from firmware import receiver, tool, wire
from firmware.choice import Choice
from firmware.errors import TargetError
from firmware.reach import LOOPBACK

MIB = 1 << 20
REPEATS = 3
SECONDS = 2.0
GIGABIT = 125_000_000  # bytes a second
WORDS = MIB // 4
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h


def receiving(_choice: Choice) -> dict[str, float]:
    """Ratios of the receiver's speed to iperf3's."""
    paced, loopback, fastest = 0.0, 0.0, 0.0
    for _ in range(REPEATS):
        paced = max(paced, received(GIGABIT) / iperf(GIGABIT))
    theirs = 0.0
    for _ in range(REPEATS):
        theirs = max(theirs, iperf(0))
        fastest = max(fastest, received(0))
    loopback = fastest / theirs
    return {
        "receive_vs_iperf_ratio": paced,
        "receive_vs_iperf_loopback_ratio": loopback,
        "receive_mib_per_s": fastest / MIB,
    }


def iperf(pace: int) -> float:
    """Bytes a second of payload that iperf3 receives. Raises ToolError."""
    program = tool.need("iperf3", "iperf3")
    with socket.create_server((LOOPBACK, 0)) as free:
        port = str(free.getsockname()[1])
    server = subprocess.Popen([program, "-s", "-1", "-p", port, "-B", LOOPBACK], stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        _wait_until_listening(int(port))
        words = [program, "-c", LOOPBACK, "-p", port, "-t", str(SECONDS), "-l", "1M", "-J"]
        said = json.loads(tool.capture([*words, *(["--fq-rate", str(pace * 8)] if pace else [])]))
    finally:
        server.kill()
        server.wait()
    return float(said["end"]["sum_received"]["bits_per_second"]) / 8


def _wait_until_listening(port: int) -> None:
    """Until /proc/net/tcp has the port: a connection would be taken for the client's."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    while True:
        with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123
            if wanted in table.read():
                return


def received(pace: int) -> float:
    """Bytes a second of payload that the receiver takes and verifies. Raises TargetError: not whole."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = int(listener.getsockname()[1])
        blocks = int(SECONDS * (pace or 4 * GIGABIT)) // MIB
        sender = multiprocessing.get_context("fork").Process(target=_send, args=(listener, blocks, pace), daemon=True)
        sender.start()
        seen = receiver.receive(LOOPBACK, port, pattern="counter")
        sender.join()
    if not seen.whole or seen.blocks != blocks:
        raise TargetError(LOOPBACK, f"the receiver's own test: {seen}")
    return (seen.bytes - MIB) / seen.seconds  # the clock starts when the first block has come


def _send(listener: socket.socket, blocks: int, pace: int) -> None:
    """A sender that costs little: all words are made beforehand."""

    words = np.arange(blocks * WORDS, dtype="<u4").view(np.uint8).data
    connection, _ = listener.accept()
    if pace:
        connection.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, pace)
    with connection:
        for number in range(blocks):
            head = wire.pack(wire.Header(0, MIB, number, 0, 0, 1))
            connection.sendall(head, socket.MSG_MORE)
            connection.sendall(words[number * MIB : (number + 1) * MIB])
        connection.sendall(wire.pack(wire.Header(wire.FLAG_END, 0, blocks, 0, 0, 1)))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
