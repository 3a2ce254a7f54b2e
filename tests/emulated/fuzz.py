# SPDX-License-Identifier: MIT
"""The fuzzer of all registers (board/emulator/fuzz): its build with the sanitisers, and one run.

    print(fuzz.run(board, tmp_path, seed=1, accesses=200_000))

The machine is compiled once more, with AddressSanitizer and UndefinedBehaviorSanitizer (which sees an index that leaves
an array inside a structure), and the fuzzer with it; QEMU itself stays as it is, so what is found is in our devices, or
ends QEMU. A run is a function of its seed. A finding is a ToolError with the sanitiser's report and the last accesses.
"""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from firmware import emulator_build, emulator_command, tool
from firmware.board import Board
from firmware.errors import ToolError
from firmware.layout import MIB
from firmware.stage import Stage
from tests.emulated import qtest

SANITISERS = ("-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RUN_OPTIONS = "detect_leaks=0:handle_abort=1:detect_stack_use_after_return=0"
BITSTREAM_BYTES = 64  # what fuzz.h says
CARD_BYTES = 16 * MIB
COMPILERS = 2
SECONDS = 600  # of a run; one that hangs is aborted, which shows where


def build() -> Path:
    """`cyclone5.so` with sanitisers and fuzzer. Raises UserError (another QEMU) or ToolError."""
    qemu = emulator_build.installed()
    source = emulator_build.source(qemu)
    headers = emulator_build.headers_stage(source)
    folder = headers.make(lambda scratch: emulator_build.make_headers(source, scratch))
    flags = [*emulator_build.compile_flags(qemu.series, source.tree, folder), *SANITISERS]
    flags += shlex.split(tool.capture(["pkg-config", "--cflags", *emulator_build.LIBRARIES]))
    texts = {"flags": " ".join((*emulator_build.DIALECT, *emulator_build.WARNINGS, *SANITISERS))}

    def work(scratch: Path) -> None:
        def compile_one(path: Path) -> Path:
            result = scratch / f"{path.stem}.o"
            tool.run(["cc", *flags, "-c", path, "-o", result], log=scratch / f"{path.stem}.log")
            return result

        sources = [*emulator_build.SOURCES.glob("*.c"), *(emulator_build.SOURCES / "fuzz").glob("*.c")]
        with ThreadPoolExecutor(COMPILERS) as pool:
            objects = list(pool.map(compile_one, sources))
        tool.run(["cc", "-shared", *SANITISERS, "-o", scratch / "cyclone5.so", *objects], log=scratch / "link.log")
        for path in objects:
            path.unlink()

    files = (emulator_build.SOURCES,)
    return Stage("emulator-fuzz", texts=texts, files=files, after=(headers,)).make(work) / "cyclone5.so"


def plan(board: Board, folder: Path, seed: int, accesses: int, plant: bool) -> list[str]:
    """QEMU's command line for one run, with the program's name; `folder` holds card and kernel."""
    options = {**emulator_command.properties(board), "cyclone5-fpgamgr.stand-in-bytes": str(BITSTREAM_BYTES)}
    argv = [emulator_build.QEMU, "-machine", emulator_build.MACHINE, "-accel", "qtest", "-m", "64M"]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-kernel", str(folder / "nothing.bin")]
    argv += ["-drive", emulator_command.drive(folder / "card.img")]
    argv += ["-netdev", "hubport,id=fuzz,hubid=0", "-net", "nic,netdev=fuzz"]
    for name, value in options.items():
        argv += ["-global", f"{name}={value}"]
    planted = "on" if plant else "off"
    return [*argv, "-device", f"cyclone5-fuzz,seed={seed},accesses={accesses},plant={planted}"]


def run(board: Board, folder: Path, seed: int, accesses: int, plant: bool = False) -> str:
    """Run the fuzzer in `folder`; its last line. Raises ToolError: something was found."""
    libraries = [tool.capture(["cc", f"-print-file-name={name}"]).strip() for name in ("libasan.so", "libubsan.so")]
    preload = " ".join([*libraries, str(build()), str(qtest.accelerator())])
    (folder / "nothing.bin").write_bytes(bytes(4096))
    with (folder / "card.img").open("wb") as card:
        card.truncate(CARD_BYTES)
    log = folder / "fuzz.log"
    argv = [
        "timeout",
        "-s",
        "ABRT",
        "-k",
        "10",
        str(SECONDS),
        "env",
        f"LD_PRELOAD={preload}",
        f"ASAN_OPTIONS={RUN_OPTIONS}",
    ]
    try:
        tool.run([*argv, *plan(board, folder, seed, accesses, plant)], log=log)
    except ToolError as error:
        text = log.read_text(errors="replace")
        start = max(text.find("==ERROR"), text.find("runtime error"), 0)
        raise ToolError(["cyclone5-fuzz"], error.status, text[start:]) from error
    return log.read_text(errors="replace").strip().splitlines()[-1]
