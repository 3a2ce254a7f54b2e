# SPDX-License-Identifier: MIT
"""SSH to a board: pinned host keys only, argv instead of shell strings, and errors that say what happened.

    with Target("board-7") as target:
        print(target.output(["uname", "-r"]))
        before = target.boot_id()
        target.reboot()
        target.wait_for_reboot(before)

Log-in is by key, as `operator`, who may use sudo. A reboot is proven by a new /proc/sys/kernel/random/boot_id, never
by a lost connection. Times are seconds. Raises Unreachable (a TargetError) when there is no connection, Late when a
command takes too long, TargetError when the board says no, UserError for an unknown host key (see
`firmware/known_hosts.py`).
"""

from __future__ import annotations

import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import paramiko

from firmware import identity
from firmware.errors import TargetError
from firmware.known_hosts import KnownHosts

USER = "operator"
CONNECT_SECONDS = 15.0
COMMAND_SECONDS = 60.0
REBOOT_SECONDS = 900.0  # three attempts that hang until the watchdog bites, some 265 s each, and the old slot's boot
RETRY_SECONDS = 1.0
LINK_DEAD_SECONDS = 60  # nothing acknowledged for so long: the link is dead (an emulated board may pause for long)
CHUNK_BYTES = 1 << 18
LOOPBACK = "127.0.0.1"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
# What a Cortex-A9 without AES instructions does quickest among what paramiko has; one key type, the one that is pinned.
CIPHERS = ("aes128-gcm@openssh.com", "aes128-ctr")
KEY_EXCHANGE = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # else its tracebacks go to the user's terminal


class Unreachable(TargetError):
    """There is no connection to the board: it may be off, booting, or elsewhere."""


class Late(TargetError):
    """A command did not end in time."""


@dataclass(frozen=True)
class Result:
    """A command's exit status and what it printed."""

    status: int
    stdout: str
    stderr: str


class Target:
    """One board, by its address; connects when first used, and once more after `close`."""

    def __init__(
        self,
        host: str,
        port: int = 22,
        user: str = USER,
        key: Path | None = None,
        known: KnownHosts | None = None,
        accept_host_key: str | None = None,
        jump: Target | None = None,
    ) -> None:
        """Nothing is sent yet. `key` is a private key's file (the user's key for boards), `known` the pinned keys.

        `jump` is a host that the connection goes through, checked and logged in to like a board. Raises UserError when
        `accept_host_key` is no fingerprint.
        """
        self.host = host
        self.port = port
        self.user = user
        self.name = host if port == 22 else f"[{host}]:{port}"  # as OpenSSH writes it into known_hosts
        self.alias = ""
        self._key = identity.user_key(key)
        self._known = known or KnownHosts()
        self._accept = identity.check_fingerprint(accept_host_key) if accept_host_key is not None else None
        self._jump = jump
        self._connecting = threading.Lock()  # several boards may go through one jump host
        self._transport: paramiko.Transport | None = None

    def __enter__(self) -> Target:
        """Connect."""
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()

    @property
    def transport(self) -> paramiko.Transport:
        """The connection; made when there is none."""
        self.connect()
        assert self._transport is not None  # noqa: S101  # for mypy: connect sets it or raises
        return self._transport

    def connect(self, timeout: float = CONNECT_SECONDS) -> None:
        """Connect, check the host key against the pinned one, log in; a live connection is kept."""
        with self._connecting:
            if self._transport is None or not self._transport.is_active():
                self._connect(timeout)

    def _connect(self, timeout: float) -> None:
        self.close()
        transport = paramiko.Transport(self._dial(timeout))
        try:
            offered = self._greet(transport, timeout)
            self.alias = self._known.check(self.name, f"{offered.get_name()} {offered.get_base64()}", self._accept)
            self._log_in(transport)
        except BaseException:
            transport.close()
            raise
        transport.set_keepalive(LINK_DEAD_SECONDS // 3)
        self._transport = transport

    def close(self) -> None:
        """Disconnect; what runs on the board is not waited for."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def run(
        self,
        command: Sequence[str],
        sudo: bool = False,
        timeout: float = COMMAND_SECONDS,
        stdin: bytes = b"",
        say: Callable[[str], None] | None = None,
    ) -> Result:
        """Run `command` to its end; each line of its standard output is given to `say` as it comes.

        Raises Unreachable when the connection is lost, Late when it takes longer than `timeout`.
        """
        argv = ["sudo", "-n", "--", *command] if sudo else list(command)
        shown, deadline = shlex.join(command), time.monotonic() + timeout
        errors: list[bytes] = []
        try:
            channel = self.transport.open_session(timeout=timeout)
            with channel:
                channel.settimeout(timeout)
                channel.exec_command(shlex.join(argv))
                reader = threading.Thread(target=_drain, args=(channel, errors), daemon=True)
                reader.start()
                channel.sendall(stdin)
                channel.shutdown_write()
                output = _collect(channel, deadline, say)
                if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                status = channel.recv_exit_status()
                reader.join(max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise Late(self.name, f"{shown}: did not end within {timeout:g} s") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(self.name, f"connection lost while running: {shown}: {error}") from error
        if status == -1:
            self.close()
            raise Unreachable(self.name, f"connection lost while running: {shown}")
        return Result(status, output.decode(errors="replace"), b"".join(errors).decode(errors="replace"))

    def output(
        self, command: Sequence[str], sudo: bool = False, timeout: float = COMMAND_SECONDS, stdin: bytes = b""
    ) -> str:
        """Standard output of `command`. Raises TargetError, with what it said, when its exit status is not 0."""
        done = self.run(command, sudo=sudo, timeout=timeout, stdin=stdin)
        if done.status:
            said = (done.stderr.strip() or done.stdout.strip())[-2000:]
            raise TargetError(self.name, f"{shlex.join(command)}: status {done.status}: {said}")
        return done.stdout

    def put(
        self, content: bytes, path: str, mode: int = 0o644, sudo: bool = False, timeout: float = COMMAND_SECONDS
    ) -> None:
        """Replace the file `path` on the board as a whole; needs no SFTP server there."""
        script = 'umask 077; cat > "$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"'
        self.output(["sh", "-c", script, "sh", path, f"{mode:o}"], sudo=sudo, timeout=timeout, stdin=content)

    def get(self, path: str, sudo: bool = False, timeout: float = COMMAND_SECONDS) -> str:
        """Text of the file `path` on the board."""
        return self.output(["cat", "--", path], sudo=sudo, timeout=timeout)

    def boot_id(self) -> str:
        """Identifier of the running boot, another one after each reboot (random(4))."""
        return self.get(BOOT_ID).strip()

    def reboot(self) -> None:
        """Begin a reboot; the connection may be lost before the board has answered."""
        try:
            self.output(["systemctl", "--no-block", "reboot"], sudo=True, timeout=CONNECT_SECONDS)
        except (Unreachable, Late):
            pass  # the network may go down without a word; the evidence is the next boot id
        finally:
            self.close()

    def wait_for_reboot(self, old_boot_id: str, timeout: float = REBOOT_SECONDS) -> str:
        """Boot id of the board's next boot, as soon as it answers in another one than `old_boot_id` (empty: in any).

        Raises Unreachable when it has not within `timeout`.
        """
        deadline, seen = time.monotonic() + timeout, "no answer"
        while (left := deadline - time.monotonic()) > 0:
            self.close()  # a connection of the old boot may look alive for long
            try:
                self.connect(min(CONNECT_SECONDS, max(left, RETRY_SECONDS)))
            except Unreachable as error:
                seen = error.said
            else:
                new, seen = self._boot_id_or_why()
                if new and new != old_boot_id:
                    return new
            time.sleep(RETRY_SECONDS)  # paces the attempts; the evidence is the boot id
        what = "has not rebooted" if old_boot_id else "has not answered"
        raise Unreachable(self.name, f"{what} within {timeout:g} s: {seen}")

    def _boot_id_or_why(self) -> tuple[str, str]:
        try:
            return self.boot_id(), "it has not gone down"
        except TargetError as error:  # going down or coming up, it may break off anything
            return "", error.said

    def shell_command(self, *more: str) -> list[str]:
        """Command line of OpenSSH for an interactive log-in that trusts the pinned key only; `connect` comes first.

        `more`: options of OpenSSH's.
        """
        options = {
            "UserKnownHostsFile": str(self._known.path),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": self.alias,
            "StrictHostKeyChecking": "yes",
            "IdentityFile": str(self._key),
            "IdentitiesOnly": "yes",
        }
        words = [word for name, value in options.items() for word in ("-o", f'{name}="{value}"')]
        if self._jump is not None:
            words += ["-o", f"ProxyCommand={shlex.join(self._jump.shell_command('-W', '%h:%p'))}"]
        return ["ssh", *words, *more, "-p", str(self.port), "-l", self.user, "--", self.host]

    def _dial(self, timeout: float) -> socket.socket | paramiko.Channel:
        if self._jump is not None:
            return self._dial_through(self._jump, timeout)
        try:
            connection = socket.create_connection((self.host, self.port), timeout)
        except socket.gaierror as error:
            raise Unreachable(self.name, f"no such host: {error.strerror} (valid: a name or an address)") from error
        except ConnectionRefusedError as error:
            said = "refuses the connection: is it up, is the port right, does its SSH server run?"
            raise Unreachable(self.name, said) from error
        except TimeoutError as error:
            raise Unreachable(self.name, f"does not answer within {timeout:g} s: is it on and connected?") from error
        except OSError as error:
            raise Unreachable(self.name, f"cannot be reached: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LINK_DEAD_SECONDS * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _dial_through(self, jump: Target, timeout: float) -> paramiko.Channel:
        try:
            return jump.transport.open_channel("direct-tcpip", (self.host, self.port), (LOOPBACK, 0), timeout=timeout)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(self.name, f"cannot be reached through {jump.name}: {error}") from error

    def _greet(self, transport: paramiko.Transport, timeout: float) -> paramiko.PKey:
        transport.banner_timeout = timeout
        options = transport.get_security_options()
        options.ciphers, options.kex, options.key_types = CIPHERS, KEY_EXCHANGE, (identity.KEY_TYPE,)
        try:
            transport.start_client(timeout=timeout)
            if not transport.initial_kex_done:
                raise paramiko.SSHException(f"nothing heard within {timeout:g} s")
            return transport.get_remote_server_key()
        except paramiko.SSHException as error:
            raise Unreachable(self.name, f"answers, but not as a board's SSH server does: {error}") from error
        except (OSError, EOFError) as error:
            raise Unreachable(self.name, f"broke off the connection: {error}") from error

    def _log_in(self, transport: paramiko.Transport) -> None:
        try:
            transport.auth_publickey(self.user, paramiko.Ed25519Key.from_private_key_file(str(self._key)))
        except paramiko.AuthenticationException as error:
            raise Unreachable(
                self.name,
                f"does not let {self.user} in with the key {self._key} "
                "(valid: a key in its /data/identity/ssh/authorized_keys, or it is still booting)",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(self.name, f"broke off the log-in: {error}") from error


def _drain(channel: paramiko.Channel, into: list[bytes]) -> None:
    """Take the standard error as it comes, so that the command never waits for us."""
    try:
        while data := channel.recv_stderr(CHUNK_BYTES):
            into.append(data)
    except OSError:
        return  # timed out or lost; the thread that reads standard output says so


def _collect(channel: paramiko.Channel, deadline: float, say: Callable[[str], None] | None) -> bytes:
    whole, line = bytearray(), b""
    data = b"-"
    while data:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        data = channel.recv(CHUNK_BYTES)
        whole += data
        if say is not None:
            *lines, line = (line + data).split(b"\n")
            for each in lines:
                say(each.decode(errors="replace"))
    if say is not None and line:
        say(line.decode(errors="replace"))
    return bytes(whole)
