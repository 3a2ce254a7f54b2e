# SPDX-License-Identifier: MIT
"""The canary of each boot: does Linux see the environment that U-Boot keeps?

U-Boot has just taken one off BOOT_<slot>_LEFT and saved it. If Linux sees a full counter, or none, the two write to
different places: an upgrade would be "activated" where U-Boot never looks. That is `wrong`: it undoes a trial and keeps
a board from further ones. What else differs is `noted` only: a copy that a power cut has spoilt (the next save renews
it), names whose values are not the built U-Boot's (until `field-update boot-loader` renews them), and a slot that
U-Boot has passed over.
"""

from __future__ import annotations

import configparser
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FW_ENV, RAUC = Path("/etc/fw_env.config"), Path("/etc/rauc/system.conf")
BUILT = Path("/usr/lib/cyclone-capture/boot-loader/environment.json")
LINE_BYTES = 1024  # fw_setenv's buffer, which cuts what is longer (libubootenv 0.3.5, src/uboot_env.c, LINE_LENGTH)
HEADER_BYTES = 5  # CRC-32 (little-endian) of what follows the header, and a flag (U-Boot, include/env_internal.h)
OWN = ("ethaddr", "hostname", "machine_id", "identity_args", "BOOT_ORDER")  # each board's own

Read = Callable[[str, int, int], bytes]  # device, offset, bytes


class Finding(NamedTuple):
    """What is wrong, and what is only worth a note."""

    wrong: list[str]
    noted: list[str]


def variables(printed: str) -> dict[str, str]:
    """Variables of what `fw_printenv` printed."""
    return {name: value for name, equals, value in (line.partition("=") for line in printed.splitlines()) if equals}


def examine(printed: str, config: str, rauc: str, built: str, slot: str, read: Read) -> Finding:
    """`printed` by fw_printenv, the texts of fw_env.config, RAUC's system.conf and the built environment, by slot."""
    seen = variables(printed)
    return Finding(
        counter(seen, rauc, slot), [*passed_over(seen, slot), *copies(config, read), *differences(seen, built)]
    )


def counter(seen: dict[str, str], rauc: str, slot: str) -> list[str]:
    """Whether U-Boot's last act, one attempt less for this boot, is to be seen."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(rauc)
    attempts = settings.getint("system", "boot-attempts")
    name = f"BOOT_{slot}_LEFT"
    if "BOOT_ORDER" not in seen or name not in seen:
        return [f"fw_printenv shows no BOOT_ORDER or no {name} (valid: U-Boot's environment; see /etc/fw_env.config)"]
    try:
        left = int(seen[name], 16)
    except ValueError:
        return [f"{name} is {seen[name]!r} (valid: a hexadecimal number)"]
    if left >= attempts:
        return [f"{name} is {left}: U-Boot has not counted this boot there (valid: at most {attempts - 1})"]
    return []


def passed_over(seen: dict[str, str], slot: str) -> list[str]:
    """Whether U-Boot has given up the slot that it tries first: nothing but its counter tells."""
    first = seen.get("BOOT_ORDER", slot).split()[0]
    return [] if first == slot else [f"U-Boot tries slot {first} first, and has booted {slot}: look at status, last"]


def copies(config: str, read: Read) -> list[str]:
    """Copies of the environment that are neither whole nor blank."""
    found = []
    for line in config.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        device, offset, size = words[0], int(words[1], 0), int(words[2], 0)
        copy = read(device, offset, size)
        if not set(copy) <= {0} and zlib.crc32(copy[HEADER_BYTES:]) != int.from_bytes(copy[:4], "little"):
            found.append(f"the environment's copy at {offset:#x} is not whole (valid: by the next save)")
    return found


def other(seen: dict[str, str], built: str) -> dict[str, str]:
    """What was built into this version's U-Boot and is not so in the environment, by name, sorted."""
    wanted: dict[str, str] = json.loads(built) if built else {}
    own = {name for name in wanted if name in OWN or (name.startswith("BOOT_") and name.endswith("_LEFT"))}
    return {name: wanted[name] for name in sorted(wanted.keys() - own) if seen.get(name) != wanted[name]}


def renewal(seen: dict[str, str], built: str) -> dict[str, str]:
    """What a new U-Boot needs in a saved environment: its scripts, and the names that are not there yet.

    A setting that is there, a single word but no address, may have been changed by somebody, and stays. Raises
    ValueError: a script is longer than a line of fw_setenv's.
    """
    found = {name: value for name, value in other(seen, built).items() if name not in seen or _is_script(name, value)}
    if long := [name for name, value in found.items() if len(f"{name}={value}\n") >= LINE_BYTES]:
        raise ValueError(f"{', '.join(long)}: too long for fw_setenv (valid: up to {LINE_BYTES - 1} characters a line)")
    return found


def _is_script(name: str, value: str) -> bool:
    """Whether it goes with the other scripts: addresses have to fit each other."""
    return " " in value or name.endswith("_addr") or name == "bootm_size"


def differences(seen: dict[str, str], built: str) -> list[str]:
    """Names whose values are not those that were built into this version's U-Boot."""
    names = other(seen, built)
    return [f"saved by another U-Boot than this version's: {', '.join(names)}"] if names else []


def read_device(device: str, offset: int, size: int) -> bytes:
    """Part of a block device."""
    with Path(device).open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)
