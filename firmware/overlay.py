# SPDX-License-Identifier: MIT
"""The fabric's two files in a slot: `overlay.dtbo`, rendered from the board, and `fabric.rbf`, the bitstream.

The bitstream is the user's own: `board/<name>.rbf`, as Quartus writes it (compressed raw binary, passive parallel).
Without one a stand-in is made: it configures the fabric of the emulated board, says so in plain text at its start, and
a metal FPGA refuses it. It depends on nothing but the fabric's identity.
"""

from __future__ import annotations

from pathlib import Path

from firmware import paths, render, tool
from firmware.board import Board
from firmware.errors import UserError
from firmware.stage import Stage

BITSTREAM_BYTES = 64 << 10  # least size: anything shorter cannot be the bitstream of a Cyclone V
BITSTREAM_LIMIT = 16 << 20  # the largest Cyclone V (5CEA9, 5CGTD9) needs some 12.6 MiB uncompressed
# the interrupt parent is that of /soc, which dtc can't see from here
DTC_OPTIONS = ("-@", "-W", "no-interrupts_property", "-I", "dts", "-O", "dtb")
STAND_IN = "stand-in bitstream for the emulated board; a metal FPGA refuses it"


def stand_in(fabric_id: int) -> bytes:
    """Bitstream for the emulated board: a note in ASCII, then ones up to `BITSTREAM_BYTES`."""
    note = f"{STAND_IN}\nfabric id {fabric_id:#010x}\n".encode("ascii")
    return note.ljust(BITSTREAM_BYTES, b"\xff")


def bitstream(board: Board, folder: Path = paths.BOARDS) -> bytes:
    """The board's bitstream from `folder`, or the stand-in. Raises UserError: a file that can't be one."""
    path = folder / f"{board.name}.rbf"
    if not path.exists():
        return stand_in(board.fabric.id)
    content = path.read_bytes()
    if not BITSTREAM_BYTES <= len(content) <= BITSTREAM_LIMIT:
        raise UserError(
            f"{path}: {len(content)} bytes are no Cyclone V bitstream (valid: a .rbf of {BITSTREAM_BYTES} to "
            f"{BITSTREAM_LIMIT} bytes, or no such file: then the emulated board's stand-in is used)"
        )
    return content


def source(board: Board) -> str:
    """The overlay's source, device tree syntax."""
    return render.text("overlay/overlay.dtso.j2", board)


def compile_overlay(text: str, folder: Path) -> Path:
    """`overlay.dtbo` in `folder`, made from the source `text`. Raises ToolError: dtc refuses it."""
    dtso, dtbo = folder / "overlay.dtso", folder / "overlay.dtbo"
    dtso.write_text(text, encoding="utf-8")
    dtc = tool.need("dtc", "device-tree-compiler")
    tool.capture([dtc, *DTC_OPTIONS, "-o", dtbo, dtso])
    dtso.unlink()
    return dtbo


def build(board: Board) -> Path:
    """Folder with `overlay.dtbo` and `fabric.rbf`. Raises UserError (the bitstream) or ToolError (dtc)."""
    text, content = source(board), bitstream(board)
    own = paths.BOARDS / f"{board.name}.rbf"

    def work(folder: Path) -> None:
        compile_overlay(text, folder)
        (folder / "fabric.rbf").write_bytes(content)

    texts = {"overlay": text, "fabric": f"{board.fabric.id:#x}", "code": Path(__file__).read_text(encoding="utf-8")}
    return Stage("overlay", texts=texts, files=(own,) if own.exists() else ()).make(work)
