# SPDX-License-Identifier: MIT
"""U-Boot's saved environment, as Linux sees it: by the real `fw_printenv` and `fw_setenv` (libubootenv), run here.

A new image has none: U-Boot saves the one built into it at the first boot. So that is laid down here as U-Boot would
save it, in a scratch file with the image's places, beside an older copy; then the tools read and change it, with the
slot's own `fw_env.config`. U-Boot, env/common.c: of two good copies the one with the higher flag counts.
"""

from __future__ import annotations

import subprocess
import tempfile
import zlib
from pathlib import Path

from firmware import layout, proof, tool

PROBE = "BOOT_ORDER"  # what RAUC and field-update change
OLDER, NEWER, NEXT = 1, 2, 3  # flags


def copy_of(variables: dict[str, str], flag: int) -> bytes:
    """One copy: CRC-32 of the variables (little-endian), the flag, the variables (U-Boot, include/env_internal.h)."""
    text = "".join(f"{name}={value}\0" for name, value in variables.items()).encode() + b"\0"
    data = text.ljust(layout.ENVIRONMENT_BYTES - proof.ENVIRONMENT_HEADER, b"\0")
    return zlib.crc32(data).to_bytes(4, "little") + bytes([flag]) + data


def faults(built: dict[str, str], config: str) -> list[str]:
    """What the tools, with `config` as `fw_env.config`, see or do otherwise than U-Boot with the `built` variables.

    Nothing but the card's device may be named: the tools write to what is. Raises UserError: they are not installed.
    """
    named = {line.split()[0] for line in config.splitlines() if line.strip() and not line.startswith("#")}
    if named != {layout.CARD_DEVICE}:
        return [f"fw_env.config names {', '.join(sorted(named)) or 'no device'} (valid: {layout.CARD_DEVICE})"]
    with tempfile.TemporaryDirectory(prefix="environment-") as name:
        card, settings = Path(name) / "card", Path(name) / "fw_env.config"
        copies = (copy_of(built, NEWER), copy_of({**built, PROBE: "old"}, OLDER))
        with card.open("wb") as stream:
            stream.truncate(layout.SLOT_A.offset)
            for at, copy in zip(layout.ENVIRONMENT_OFFSETS, copies, strict=True):
                stream.seek(at)
                stream.write(copy)
        settings.write_text(config.replace(layout.CARD_DEVICE, str(card)), encoding="utf-8")
        said, seen = _tool("fw_printenv", settings)
        if _variables(seen) != built:
            return [f"fw_printenv does not see what U-Boot has saved: {said} (valid: the layout's places)"]
        said, _ = _tool("fw_setenv", settings, PROBE, "new")
        with card.open("rb") as stream:
            first, second = (proof.reader(stream)(at, layout.ENVIRONMENT_BYTES) for at in layout.ENVIRONMENT_OFFSETS)
        texts = second[proof.ENVIRONMENT_HEADER :].decode(errors="replace").replace("\0", "\n")
        changed = _variables(texts) == {**built, PROBE: "new"} and second[4] == NEXT and not proof.check_copy(second)
        if first != copies[0] or not changed:
            return [f"fw_setenv does not make U-Boot's older copy the newer one: {said} (valid: the layout's places)"]
    return []


def _variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _tool(program: str, settings: Path, *words: str) -> tuple[str, str]:
    argv = [tool.need(program, "libubootenv-tool"), "-c", str(settings), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603  # argv, no shell
    return done.stderr.strip() or "other values", done.stdout
