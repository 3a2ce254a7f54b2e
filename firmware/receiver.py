# SPDX-License-Identifier: MIT
"""The receiver on the host: takes one capture off the board's stream, checks it and counts what is missing.

    python -m firmware.receiver --host board-7 --port 7700 --pattern counter

It connects and waits; the capture is started over the control socket (`capturectl start`). It ends with the capture's
end record. Payloads are received into one buffer that is used again, framing as docs/stream-format.md, patterns as
`firmware.pattern`. A stream that is no stream, or that ends in the middle of a record, is a TargetError; what was lost
or damaged on the way is no error but part of the `Reception`, for the caller to judge.
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from . import pattern as patterns
from . import wire
from .errors import FirmwareError, TargetError, UserError

TIMEOUT_SECONDS = 120.0
_LONGEST_SECONDS = 1_000_000
_LINE_SECONDS = 0.5


@dataclass(frozen=True)
class Reception:
    """What arrived. Bytes, seconds from the first record to the last; `arrivals` in seconds since the first record."""

    bytes: int
    blocks: int
    first_sequence: int
    gaps: int  # records with the gap flag
    errors: int  # records with the error flag: their contents are not checked
    lost_bytes: int  # that the board reported
    missing_bytes: int  # that the counter pattern shows to be missing
    corrupt: int  # words that no loss explains
    sequence_breaks: int  # records that are not the one behind the previous, and no gap says why
    ended: bool  # the end record came, and its totals are ours
    seconds: float
    arrivals: tuple[float, ...]
    filled: tuple[float, ...] = ()  # by the board's clock, seconds since the first block was
    skipped_blocks: int = 0  # that the board could not give to this reader: it was too slow; `lost_bytes` has them
    stopped: bool = False  # before the end record, as there was enough

    @property
    def undamaged(self) -> bool:
        """Whether nothing is missing or wrong from the first record that came to the last."""
        damage = self.corrupt + self.sequence_breaks + self.errors + self.gaps + self.lost_bytes + self.missing_bytes
        return damage + self.skipped_blocks == 0

    @property
    def whole(self) -> bool:
        """Whether everything that was sampled from the start of the capture arrived undamaged."""
        return self.ended and self.first_sequence == 0 and self.undamaged

    def __str__(self) -> str:
        """One line for a person."""
        speed = self.bytes / 1e6 / self.seconds if self.seconds else 0.0
        return (
            f"{self.bytes} bytes in {self.blocks} blocks, {self.seconds:.1f} s, {speed:.1f} MB/s; "
            f"gaps {self.gaps}, lost {self.lost_bytes} (seen missing {self.missing_bytes}), corrupt {self.corrupt}, "
            f"sequence breaks {self.sequence_breaks}, errors {self.errors}"
            + (f", blocks skipped {self.skipped_blocks}" if self.skipped_blocks else "")
            + ("" if self.ended else "; enough" if self.stopped else "; NO end record")
        )


class Receiver:
    """One connection to the stream. Every method raises TargetError: refused, silent, no stream, cut off."""

    def __init__(self, host: str, port: int, pattern: str = "counter", timeout: float = TIMEOUT_SECONDS) -> None:
        """Connect; `timeout` is the longest silence in seconds. Raises UserError: see `connect`; pattern."""
        self._checker = patterns.checker(pattern)
        self._name = f"{host}:{port}"
        self._timeout = timeout
        self._header = bytearray(wire.HEADER_BYTES)
        self._payload = bytearray()
        self._arrivals = array("d")  # 8 bytes a block: a capture may go on for days
        self._filled = array("q")
        self._bytes = self._gaps = self._errors = self._lost = self._breaks = self._skipped = 0
        self._first: wire.Header | None = None
        self._previous: wire.Header | None = None
        self._socket = connect(host, port, timeout)
        wait_in_kernel(self._socket, timeout)

    def __enter__(self) -> Receiver:
        """The receiver itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._socket.close()

    def run(
        self,
        progress: Callable[[int, float], None] | None = None,
        take: Callable[[wire.Header, memoryview], None] | None = None,
        enough: int | None = None,
    ) -> Reception:
        """Receive until the end record; `progress` is told bytes and seconds after each record, `take` is given it.

        With `enough` bytes it ends before, with the block that makes them full.

        What `take` is given is overwritten by the next record. An end record is given to it only when blocks behind the
        last record passed this reader by: without payload, and `lost_bytes` is theirs alone.
        """
        started = 0.0
        while (header := self._next_header()) is not None:
            payload = self._next_payload(header.payload_bytes)
            now = time.monotonic()
            if not self._arrivals:
                started = now
            if header.flags & wire.FLAG_END:
                before = self._lost
                ended = self._ends_as_said(header)
                if take is not None and header.flags & wire.FLAG_GAP:
                    take(header._replace(lost_bytes=self._lost - before), payload)
                return self._result(now - started if started else 0.0, ended)
            self._arrivals.append(now - started)
            self._filled.append(header.time_ns)
            self._account(header, payload)
            if take is not None:
                take(header, payload)
            if progress is not None:
                progress(self._bytes, now - started)
            if enough is not None and self._bytes >= enough:
                return self._result(now - started, False, stopped=True)
        if not self._arrivals:
            said = "closed the connection before the first record"
            raise TargetError(self._name, f"{said} (valid: a computer that is let in: capturectl allow)")
        return self._result(self._arrivals[-1], False)

    def _next_header(self) -> wire.Header | None:
        if not self._fill(memoryview(self._header), may_end=True):
            return None
        try:
            return wire.unpack(self._header)
        except ValueError as error:
            place = f"record {len(self._arrivals)}, behind {self._bytes} bytes of payload"
            raise TargetError(self._name, f"not the capture stream: {error} ({place})") from error

    def _next_payload(self, size: int) -> memoryview:
        if size > len(self._payload):
            self._payload = bytearray(size)
        view = memoryview(self._payload)[:size]
        self._fill(view, may_end=False)
        return view

    def _fill(self, view: memoryview, may_end: bool) -> bool:
        """Receive exactly `view`; False when the stream ended before its first byte and may."""
        got = 0
        while got < len(view):
            try:
                taken = self._socket.recv_into(view[got:], 0, socket.MSG_WAITALL)
            except (TimeoutError, BlockingIOError) as error:
                silence = f"nothing came for {self._timeout:g} s, behind {self._bytes} bytes"
                raise TargetError(self._name, silence) from error
            except OSError as error:
                raise TargetError(self._name, f"connection lost behind {self._bytes} bytes: {error}") from error
            if taken == 0:
                if may_end and got == 0:
                    return False
                where = f"{got} of {len(view)} bytes of a {'header' if may_end else 'payload'} came"
                raise TargetError(self._name, f"the stream ended inside record {len(self._arrivals)}: {where}")
            got += taken
        return True

    def _account(self, header: wire.Header, payload: memoryview) -> None:
        previous = self._previous
        if previous is None:
            self._first = header
        elif header.capture != previous.capture or header.sequence <= previous.sequence:
            self._breaks += 1
        elif header.sequence > previous.sequence + 1:
            if header.flags & wire.FLAG_GAP:
                self._skipped += header.sequence - previous.sequence - 1
            else:
                self._breaks += 1
        self._previous = header
        gap = bool(header.flags & wire.FLAG_GAP)
        self._gaps += gap
        self._lost += header.lost_bytes
        self._bytes += len(payload)
        if header.flags & wire.FLAG_ERROR:
            self._errors += 1
            return
        self._checker.check(payload, gap, first=previous is None and header.sequence == 0)

    def _ends_as_said(self, end: wire.Header) -> bool:
        """Whether the end record's totals are ours; who joined late can't tell."""
        if self._first is None or self._previous is None:
            return end.sequence == 0
        if self._first.sequence:
            if end.flags & wire.FLAG_GAP:  # their sizes can't be told: as the last one's
                behind = max(0, end.sequence - self._previous.sequence - 1)
                self._skipped += behind
                self._lost += behind * self._previous.payload_bytes
            return True
        if end.flags & wire.FLAG_GAP:  # the last blocks were skipped: only the end record tells of them
            self._skipped += end.sequence - len(self._arrivals) - self._skipped
            self._lost = max(self._lost, end.lost_bytes)
        seen = (len(self._arrivals) + self._skipped, self._lost, self._first.capture)
        return (end.sequence, end.lost_bytes, end.capture) == seen

    def _result(self, seconds: float, ended: bool, stopped: bool = False) -> Reception:
        return Reception(
            bytes=self._bytes,
            blocks=len(self._arrivals),
            first_sequence=self._first.sequence if self._first else 0,
            gaps=self._gaps,
            errors=self._errors,
            lost_bytes=self._lost,
            missing_bytes=self._checker.missing_bytes,
            corrupt=self._checker.corrupt,
            sequence_breaks=self._breaks,
            ended=ended,
            seconds=seconds,
            arrivals=tuple(self._arrivals),
            filled=tuple((at - self._filled[0]) / 1e9 for at in self._filled),
            skipped_blocks=self._skipped,
            stopped=stopped,
        )


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to the stream. Raises TargetError: no answer; UserError: host, port or timeout that can't be."""
    if not 0 < port < 1 << 16:
        raise UserError(f"port {port} (valid: 1 to 65535)")
    if not 0 < timeout <= _LONGEST_SECONDS:
        raise UserError(f"timeout {timeout:g} (valid: seconds, more than 0, at most {_LONGEST_SECONDS})")
    try:
        return socket.create_connection((host, port), timeout=timeout)
    except UnicodeError as error:  # no name by the rules of IDNA
        raise UserError(f"host {host!r} (valid: a name or an address)") from error
    except OSError as error:
        raise TargetError(f"{host}:{port}", f"cannot connect: {error}") from error


def wait_in_kernel(connection: socket.socket, timeout: float) -> None:
    """Let MSG_WAITALL fill a payload by one call, and the kernel end it (BlockingIOError) after `timeout` of silence.

    Python's own timeouts make a socket non-blocking: a poll() and a short recv() for each segment or two, which costs
    more than the verification. They stay where SO_RCVTIMEO is another structure.
    """
    if sys.platform == "linux":
        seconds, rest = divmod(timeout, 1.0)
        with suppress(OSError, struct.error):
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(rest * 1e6))
            )
            connection.settimeout(None)


def receive(
    host: str,
    port: int,
    pattern: str = "counter",
    timeout: float = TIMEOUT_SECONDS,
    connected: Callable[[], None] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Reception:
    """Receive one capture; `connected` is called once the connection stands, to start it. Errors as `Receiver`."""
    with Receiver(host, port, pattern, timeout) as receiver:
        if connected is not None:
            connected()
        return receiver.run(progress)


def live_line() -> Callable[[int, float], None] | None:
    """A progress that shows bytes and speed on the terminal, on one line; None where there is no terminal."""
    if not sys.stderr.isatty():
        return None
    shown = [0.0]

    def show(size: int, seconds: float) -> None:
        if seconds - shown[0] >= _LINE_SECONDS:
            shown[0] = seconds
            print(f"\r{size / 1e6:12.1f} MB  {size / 1e6 / seconds:8.1f} MB/s", end="", file=sys.stderr, flush=True)

    return show


def main(arguments: list[str] | None = None) -> int:
    """Receive one capture and print the summary; exit status 1 when it is not whole, else as `firmware.errors`."""
    parser = argparse.ArgumentParser(prog="firmware.receiver", description="Receives and checks one capture.")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pattern", choices=sorted(patterns.CHECKERS), default="counter")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="longest silence, seconds")
    options = parser.parse_args(arguments)
    try:
        seen = receive(options.host, options.port, options.pattern, options.timeout, progress=live_line())
    except FirmwareError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    print(seen)
    return 0 if seen.whole else 1


if __name__ == "__main__":
    sys.exit(main())
