# SPDX-License-Identifier: MIT
"""U-Boot as it stands in an image: is it whole, and does its compiled-in boot script mean this layout's card?

The legacy header (U-Boot's include/image.h: seven big-endian words, then os, architecture, type, compression and a
name) has a CRC-32 of itself and one of the content. The default environment is found in the content: NAME=VALUE texts,
each ended by a NUL, one behind the other. `docs/interfaces.md`, "Boot", says what the script's variables mean.
"""

from __future__ import annotations

import re
import struct
import zlib

from firmware import layout

LEGACY_MAGIC, FIT_MAGIC = 0x27051956, 0xD00DFEED
HEADER = struct.Struct(">7I4B32s")  # magic, header CRC, time, size, load, entry, data CRC, os, arch, type, comp, name
_VARIABLE = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*=[\x09\x0a\x20-\x7e]*")
_LOAD = re.compile(r"\bload mmc 0:(\S+) \S+ (/\S+)")


def check(content: bytes) -> list[str]:
    """What is wrong with the U-Boot image at the start of `content`; its end does not matter."""
    magic = int.from_bytes(content[:4], "big")
    if magic == FIT_MAGIC:
        size = int.from_bytes(content[4:8], "big")
        return [] if size <= len(content) else [f"tree of {size} bytes (valid: up to {len(content)})"]
    if magic != LEGACY_MAGIC or len(content) < HEADER.size:
        return [f"no image: {magic:#010x} (valid: {LEGACY_MAGIC:#010x} or {FIT_MAGIC:#010x})"]
    fields = HEADER.unpack_from(content)
    bare = content[:4] + bytes(4) + content[8 : HEADER.size]
    if fields[1] != (computed := zlib.crc32(bare)):
        return [f"header CRC {fields[1]:#010x} (valid: {computed:#010x})"]
    data = content[HEADER.size : HEADER.size + fields[3]]
    if len(data) != fields[3]:
        return [f"image of {fields[3]} bytes (valid: up to {len(content) - HEADER.size}, the partition's end)"]
    if fields[6] != (computed := zlib.crc32(data)):
        return [f"data CRC {fields[6]:#010x} (valid: {computed:#010x})"]
    return []


def environment(content: bytes) -> dict[str, str]:
    """The compiled-in environment; empty when there is none that begins a boot (`bootcmd`, `BOOT_ORDER`)."""
    at = content.find(b"\0BOOT_ORDER=")
    if at < 0:
        return {}
    start = at + 1
    while (before := content.rfind(b"\0", 0, start - 1)) >= 0 and _VARIABLE.fullmatch(content[before + 1 : start - 1]):
        start = before + 1
    end = content.find(b"\0\0", start)
    texts = [text.decode("ascii", "replace") for text in content[start : end if end >= 0 else None].split(b"\0")]
    return {name: value for name, _, value in (text.partition("=") for text in texts) if name}


def loaded(variables: dict[str, str]) -> list[str]:
    """Files that the boot script loads from a slot, sorted."""
    script = " ".join(variables.values())
    return sorted({path for place, path in _LOAD.findall(script) if place == "${slot_partition}"})


def check_script(variables: dict[str, str]) -> list[str]:
    """What in the compiled-in boot script does not agree with the layout."""
    if not variables:
        return ["no environment with BOOT_ORDER is compiled into U-Boot (valid: templates/boot/environment.txt.j2)"]
    wanted = {"BOOT_ORDER": " ".join(layout.SLOTS)}
    wanted |= {f"BOOT_{name}_LEFT": f"{layout.BOOT_ATTEMPTS:x}" for name in layout.SLOTS}
    found = [
        f"{name} is {variables.get(name)!r} (valid: {value!r})"
        for name, value in wanted.items()
        if variables.get(name) != value
    ]
    for name, partition in layout.SLOTS.items():
        script = variables.get(f"try_{name}", "")
        for line in (f"setenv slot_partition {partition.number};", f"setenv slot_device {partition.device};"):
            if line not in script:
                found.append(f"try_{name} does not say {line!r} (valid: the layout's partition of slot {name})")
    if f"load mmc 0:{layout.DATA.number} " not in variables.get("import_identity", ""):
        found.append(f"import_identity does not read partition {layout.DATA.number} (valid: the data partition)")
    if not loaded(variables):
        found.append("the boot script loads nothing from a slot (valid: load mmc 0:${slot_partition} ...)")
    return found
