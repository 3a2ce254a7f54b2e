# SPDX-License-Identifier: MIT
"""An SSH server in this process that plays a board: commands are answered by a function, tunnels are real.

Whatever speaks to a board can be tried against it without one: the tests do, and `firmware/simulated_boards.py`.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)

from firmware.identity import KeyPair
from firmware.ssh import USER

Answer = tuple[int, bytes, bytes]
Respond = Callable[[str, bytes], Answer]
BREAK_OFF = -1
_CHUNK_BYTES = 1 << 16
_ACCEPT_SECONDS = 10


class FakeBoard:
    """Listens on the free loopback port `port` until `close`; only who has the public key `login` may log in."""

    def __init__(self, host_key: KeyPair, login: str, respond: Respond, tunnels: bool = True) -> None:
        """`respond(command, stdin)` gives exit status, stdout and stderr; BREAK_OFF drops the connection."""
        self.host_key, self.login, self.respond, self.tunnels = host_key, login, respond, tunnels
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and drop all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for transport in self._transports:
            transport.close()

    def _accept(self) -> None:
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(self.host_key.private))
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            self._transports.append(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                transport.start_server(server=_Session(self, transport), event=threading.Event())


class _Session(paramiko.ServerInterface):
    """What one connection may do; the methods are paramiko's."""

    def __init__(self, board: FakeBoard, transport: paramiko.Transport) -> None:
        self._board, self._transport = board, transport
        self._listeners: dict[int, socket.socket] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        same = f"{key.get_name()} {key.get_base64()}" == self._board.login
        return AUTH_SUCCESSFUL if same and username == USER else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        if not self._board.tunnels:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        threading.Thread(target=self._through, args=(chanid, destination), daemon=True).start()
        return OPEN_SUCCEEDED

    def _through(self, number: int, destination: tuple[str, int]) -> None:
        channel = self._transport.accept(_ACCEPT_SECONDS)
        while channel is not None and channel.get_id() != number:  # one that runs a command: nobody else asks for it
            channel = self._transport.accept(_ACCEPT_SECONDS)
        with contextlib.suppress(OSError):
            if channel is not None:
                _join(socket.create_connection(destination), channel)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            stdin = channel.makefile("rb").read()
            status, out, err = self._board.respond(command, stdin)
            if status == BREAK_OFF:
                self._transport.close()
                return
            channel.sendall(out)
            channel.sendall_stderr(err)
            channel.send_exit_status(status)
            channel.close()

    def check_port_forward_request(self, address: str, port: int) -> int:
        if not self._board.tunnels:
            return 0
        listener = socket.create_server((address, port))
        opened: int = listener.getsockname()[1]
        self._listeners[opened] = listener
        threading.Thread(target=self._forward, args=(listener, address, opened), daemon=True).start()
        return opened

    def cancel_port_forward_request(self, address: str, port: int) -> None:
        listener = self._listeners.pop(port)
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def _forward(self, listener: socket.socket, address: str, port: int) -> None:
        while True:
            try:
                connection, origin = listener.accept()
            except OSError:
                return
            try:
                channel = self._transport.open_forwarded_tcpip_channel(origin, (address, port))
            except (OSError, EOFError, paramiko.SSHException):
                connection.close()  # the client refused it, or is gone
                continue
            threading.Thread(target=_join, args=(connection, channel), daemon=True).start()


def _join(connection: socket.socket, channel: paramiko.Channel) -> None:
    gone = contextlib.suppress(OSError, EOFError)  # a channel says EOFError to its close when the transport has ended
    with gone, contextlib.closing(connection), contextlib.closing(channel):
        back = threading.Thread(target=_pump, args=(channel, connection), daemon=True)
        back.start()
        _pump(connection, channel)
        back.join()


def _pump(source: socket.socket | paramiko.Channel, to: socket.socket | paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(_CHUNK_BYTES):
            to.sendall(data)
    with contextlib.suppress(OSError, EOFError):
        to.shutdown(socket.SHUT_WR)
