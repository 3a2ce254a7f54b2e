# SPDX-License-Identifier: MIT
"""The configuration: one TOML file, `/data/captured/captured.toml`; what it does not name has its default.

    [tcp]
    allow = ["192.168.7.0/24"]      # who may read the stream; nobody by default
    policy = "gap"

    [disk]
    folder = "/data/captured/recordings"

Every key, its default and what is valid: docs/service.md, or `capturectl config`. Defaults that depend on the board
come from `captured.facts`. A file that is wrong in any place is refused as a whole; the error names the key.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from captured.errors import ConfigError
from captured.facts import Facts
from captured.sink import DISCONNECT, POLICIES

CONFIG = Path("/data/captured/captured.toml")
WRITERS = ("auto", "direct", "mmap", "buffered")
WHEN_FULL = ("stop", "delete-oldest")
DATATYPE = re.compile(r"[rc](f64|f32|i32|i16|u32|u16)_(le|be)|[rc][iu]8")
DEVICE = re.compile(r"|/dev/[A-Za-z0-9_:-][A-Za-z0-9_/:.-]{0,80}")
MIB = 1 << 20
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Push:
    """A reader that the service connects to by itself, and again when it is gone."""

    host: str
    port: int
    raw: bool = False


@dataclass(frozen=True)
class Tcp:
    """The stream. Seconds; bytes a second; `budget` in blocks, 0: a share of the ring."""

    port: int = 7700
    raw_port: int = 0
    interface: str = ""
    allow: tuple[Network, ...] = ()
    policy: str = "gap"
    budget: int = 0
    clients: int = 16
    stall_seconds: int = 10
    keepalive_seconds: int = 10
    tos: int = 0
    bandwidth: int = 0
    push: tuple[Push, ...] = ()


@dataclass(frozen=True)
class Disk:
    """Recordings. Bytes and seconds; `partition` is a block device that holds recordings instead of the folder."""

    folder: Path = Path("/data/captured/recordings")
    partition: str = ""
    erase_partition: str = ""
    writer: str = "auto"
    policy: str = "gap"
    datatype: str = "ru32_le"
    rotate_bytes: int = 1 << 30
    rotate_seconds: int = 0
    sync_bytes: int = 32 * MIB
    sync_seconds: int = 2
    keep_files: int = 0
    keep_bytes: int = 0
    min_free_bytes: int = 64 * MIB
    when_full: str = "stop"
    checksum: bool = True


@dataclass(frozen=True)
class Http:
    """Status page and metrics, on loopback only; port 0: none."""

    port: int = 7701


@dataclass(frozen=True)
class Config:
    """All of it."""

    tcp: Tcp = Tcp()
    disk: Disk = Disk()
    http: Http = Http()


def defaults(facts: Facts) -> Config:
    """What holds without a file, for this board."""
    return Config(tcp=Tcp(port=facts.stream_port))


def load(path: Path, facts: Facts) -> Config:
    """The configuration in `path`, or the defaults when there is no such file. Raises ConfigError naming the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return defaults(facts)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error} (valid: a TOML file that the service may read, or none)") from error
    try:
        return parse(text, facts)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(text: str, facts: Facts) -> Config:
    """The configuration that `text` says. Raises ConfigError naming the key."""
    import tomllib  # not before it is needed: most boards have no file

    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"no valid TOML: {error}") from error
    sections = {field.name for field in fields(Config)}
    for name, value in found.items():
        if name not in sections:
            raise ConfigError(f"{name}: no such section (valid: {', '.join(sorted(sections))})")
        if not isinstance(value, dict):
            raise ConfigError(f"{name}: {value!r:.60} (valid: a section, [{name}])")
    base = defaults(facts)
    made = Config(
        tcp=_section(base.tcp, "tcp", found.get("tcp", {}), TCP | {"budget": _integer(0, facts.blocks)}),
        disk=_section(base.disk, "disk", found.get("disk", {}), DISK),
        http=_section(base.http, "http", found.get("http", {}), HTTP),
    )
    _check_ports(made)
    return made


def _check_ports(made: Config) -> None:
    """Two listeners on one port: the service could not start."""
    taken: dict[int, str] = {}
    for key, port in (("tcp.port", made.tcp.port), ("tcp.raw_port", made.tcp.raw_port), ("http.port", made.http.port)):
        if port in taken:
            raise ConfigError(f"{key}: {port} (valid: another port than {taken[port]}'s)")
        if port:
            taken[port] = key


Check = Callable[[object], Any]
_S = TypeVar("_S")


def _section(base: _S, section: str, found: Mapping[str, object], checks: Mapping[str, Check]) -> _S:
    """`base` with what was found, each value checked."""
    values = {field.name: getattr(base, field.name) for field in fields(base)}  # type: ignore[arg-type]
    for key, value in found.items():
        if key not in checks:
            raise ConfigError(f"{section}.{key}: no such key (valid: {', '.join(sorted(checks))})")
        try:
            values[key] = checks[key](value)
        except ValueError as error:
            raise ConfigError(f"{section}.{key}: {value!r:.60} (valid: {error})") from error
    return type(base)(**values)


def _integer(least: int, most: int) -> Check:
    def check(value: object) -> int:
        if type(value) is not int or not least <= value <= most:  # bool is an int, and not meant
            raise ValueError(f"an integer from {least} to {most}")
        return value

    return check


def _one_of(*valid: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in valid:
            raise ValueError(", ".join(valid))
        return value

    return check


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true, false")
    return value


def _matching(pattern: re.Pattern[str], said: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(said)
        return value

    return check


def _folder(value: object) -> Path:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("an absolute path")
    return Path(value)


def network(value: object) -> Network:
    """An address or a network. Raises ValueError that says what is valid."""
    try:
        if not isinstance(value, str):
            raise ValueError
        return ipaddress.ip_network(value)
    except ValueError:
        raise ValueError('addresses and networks, such as "192.168.7.2" or "192.168.7.0/24", host bits 0') from None


def _networks(value: object) -> tuple[Network, ...]:
    if not isinstance(value, list):
        raise ValueError('a list of addresses and networks, such as ["192.168.7.0/24"]')
    return tuple(network(one) for one in value)


def _pushes(value: object) -> tuple[Push, ...]:
    said = "tables [[tcp.push]] with host (an IP address: the board asks no name server), port, and raw if wanted"
    if not isinstance(value, list):
        raise ValueError(said)
    made = []
    for one in value:
        if not isinstance(one, dict) or not {"host", "port"} <= set(one) <= {"host", "port", "raw"}:
            raise ValueError(said)
        try:
            host = str(ipaddress.ip_address(one["host"]))
            made.append(Push(host, _integer(1, 65535)(one["port"]), _boolean(one.get("raw", False))))
        except ValueError as error:
            raise ValueError(said) from error
    return tuple(made)


_HUGE = 1 << 62
TCP: dict[str, Check] = {
    "port": _integer(1, 65535),
    "raw_port": _integer(0, 65535),
    "interface": _matching(re.compile(r"|[A-Za-z0-9_.:-]{1,15}"), 'a network interface, such as "eth0", or "": all'),
    "allow": _networks,
    "policy": _one_of(*POLICIES),
    "clients": _integer(1, 64),
    "stall_seconds": _integer(0, 86400),
    "keepalive_seconds": _integer(1, 32767),
    "tos": _integer(0, 255),
    "bandwidth": _integer(0, (1 << 32) - 2),
    "push": _pushes,
}
DISK: dict[str, Check] = {
    "folder": _folder,
    "partition": _matching(DEVICE, 'a block device, such as "/dev/sda1", or "": none'),
    "erase_partition": _matching(DEVICE, 'the name of disk.partition, whose contents are lost then, or ""'),
    "writer": _one_of(*WRITERS),
    "policy": _one_of(*(policy for policy in POLICIES if policy != DISCONNECT)),
    "datatype": _matching(DATATYPE, 'a SigMF datatype, such as "ru32_le", "ci16_le" or "ri8"'),
    "rotate_bytes": _integer(MIB, _HUGE),
    "rotate_seconds": _integer(0, 1 << 30),
    "sync_bytes": _integer(MIB, 1 << 30),
    "sync_seconds": _integer(1, 3600),
    "keep_files": _integer(0, 1 << 30),
    "keep_bytes": _integer(0, _HUGE),
    "min_free_bytes": _integer(0, _HUGE),
    "when_full": _one_of(*WHEN_FULL),
    "checksum": _boolean,
}
HTTP: dict[str, Check] = {"port": _integer(0, 65535)}


def text(config: Config) -> str:
    """The configuration as TOML, every key named; push tables come last, as TOML wants."""
    lines = []
    for section in fields(config):
        lines.append(f"[{section.name}]")
        values = getattr(config, section.name)
        lines += [f"{key.name} = {_toml(getattr(values, key.name))}" for key in fields(values) if key.name != "push"]
        lines += [
            f'[[tcp.push]]\nhost = "{one.host}"\nport = {one.port}\nraw = {_toml(one.raw)}'
            for one in getattr(values, "push", ())
        ]
        lines.append("")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else json.dumps(str(value), ensure_ascii=False)  # TOML's escapes, too
