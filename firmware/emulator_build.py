# SPDX-License-Identifier: MIT
"""Build of the emulated board: one shared object that the distribution's own `qemu-system-arm` is started with.

QEMU itself is not compiled. Its source package, of exactly the installed version, is fetched and verified by apt, and
configured as Debian does as far as its structures depend on it (`--enable-plugins --enable-modules`); the headers that
its build generates are made; then board/emulator/*.c is compiled against them. Two stages: the headers (once a QEMU
version), the object (whenever a file of board/emulator changes).

Supported: Debian's QEMU 7.2 (bookworm) and 10.0 (trixie). The check is threefold: here the version; in the build every
symbol must be there; at each start the sizes of QEMU's structures (board/emulator/abi.c).
"""

from __future__ import annotations

import os
import platform
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from firmware import paths, sources, tool
from firmware.errors import ToolError, UserError
from firmware.stage import Stage

QEMU = "qemu-system-arm"
MACHINE = "cyclone5"
SOURCES = paths.BOARDS / "emulator"
SUPPORTED = {(7, 2): "bookworm", (10, 0): "trixie"}
CONFIGURE = (
    "--target-list=arm-softmmu",
    "--without-default-features",
    "--enable-system",
    "--enable-tcg",
    "--enable-fdt=system",
    "--enable-plugins",  # changes the size of CPU structures: must be as in Debian's build
    "--enable-modules",  # what makes the program export its symbols
    "--disable-werror",
)
CONFIGURE_10 = (
    "--disable-install-blobs",  # Debian's source package has none
    "--python=/usr/bin/python3",  # sees Debian's meson, which 10.0 wants; the Python of .venv does not
)
WARNINGS = ("-Wall", "-Wextra")
DIALECT = ("-std=gnu11", "-O2", "-g", "-fPIC", "-fno-strict-aliasing", "-fno-common", "-fwrapv", "-pthread")
LIBRARIES = ("glib-2.0", "pixman-1")


@dataclass(frozen=True)
class Installed:
    """The QEMU of this host: `series` is (major, minor), `package` the version of Debian's source package."""

    series: tuple[int, int]
    package: str

    @property
    def suite(self) -> str:
        """The Debian suite whose QEMU this is."""
        return SUPPORTED[self.series]


def parse(text: str) -> Installed:
    """The QEMU that printed `text` at --version. Raises UserError when the emulated board does not support it."""
    valid = "valid: Debian's " + " or ".join(f"{a}.{b} ({suite})" for (a, b), suite in SUPPORTED.items())
    match = re.search(r"version (\d+)\.(\d+)[.\d]* \(Debian ([^)\s]+)\)", text)
    if match is None:
        said = text.splitlines()[0] if text.strip() else "nothing"
        raise UserError(f"{QEMU} is not Debian's, it says {said!r} ({valid})")
    series = (int(match[1]), int(match[2]))
    if series not in SUPPORTED:
        raise UserError(f"{QEMU} {match[1]}.{match[2]} is not supported by the emulated board ({valid})")
    return Installed(series, re.sub(r"\+b\d+$", "", match[3]))


def installed() -> Installed:
    """The QEMU of this host. Raises UserError: not installed, or not supported."""
    return parse(tool.capture([tool.need(QEMU, QEMU), "--version"]))


def source(qemu: Installed) -> sources.Source:
    """Source package of exactly the installed QEMU. Raises UserError when the archive has another version by now."""
    found = sources.fetch("qemu", qemu.suite)
    if found.version != qemu.package:
        found = sources.fetch("qemu", qemu.suite, refresh=True)
    if found.version != qemu.package:
        raise UserError(
            f"the installed {QEMU} is of version {qemu.package}, Debian {qemu.suite} has the source of {found.version} "
            f"(valid: the same version; run: sudo apt-get update && sudo apt-get install {QEMU})"
        )
    return found


def configure(suite: str) -> tuple[str, ...]:
    """Options that configure QEMU's source of `suite`."""
    return CONFIGURE if suite == SUPPORTED[7, 2] else CONFIGURE + CONFIGURE_10


def headers_stage(qemu: sources.Source) -> Stage:
    """Stage of the generated headers."""
    return Stage("qemu-headers", texts={"qemu": qemu.identity, "configure": " ".join(configure(qemu.suite))})


def make_headers(qemu: sources.Source, folder: Path) -> None:
    """Configure QEMU in `folder` and generate its headers, by compiling one file that needs them all."""
    log = folder / "build.log"
    for program, package in (("ninja", "ninja-build"), ("meson", "meson"), ("pkg-config", "pkg-config")):
        tool.need(program, package)
    hint = f"whole log: {log}; the packages of host-packages.txt must be installed (./inv --setup)"
    tool.run([qemu.tree / "configure", *configure(qemu.suite)], log=log, cwd=folder, hint=hint)
    targets = tool.capture(["ninja", "-C", folder, "-t", "targets", "all"])
    wanted = re.search(r"^(\S*hw_arm_boot\.c\.o):", targets, re.MULTILINE)
    if wanted is None:
        raise ToolError(["ninja", "-t", "targets"], 1, "QEMU's build knows no hw/arm/boot.c")
    tool.run(["ninja", "-j2", wanted[1]], log=log, cwd=folder, hint=hint)
    for leftover in folder.rglob("*.o"):
        leftover.unlink()


def compile_flags(series: tuple[int, int], tree: Path, build: Path) -> list[str]:
    """Flags that compile a file as QEMU's own build compiles a device of its ARM machines."""
    target = next(name for name in ("libqemu-arm-softmmu.fa.p", "libqemu-arm-softmmu.a.p") if (build / name).is_dir())
    host = {"x86_64": "i386"}.get(platform.machine(), platform.machine())
    include = [build, tree, build / "target/arm", tree / "target/arm", build / "qapi", build / "trace", build / target]
    include += [tree / "linux-headers", build / "linux-headers", tree / "include", tree / "tcg" / host]
    return [
        *DIALECT,
        *WARNINGS,
        *(word for path in include for word in ("-isystem", str(path))),  # what QEMU's own headers do is not ours
        *("-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-D_LARGEFILE_SOURCE"),
        "-DCOMPILING_PER_TARGET" if series >= (10, 0) else "-DNEED_CPU_H",
        '-DCONFIG_TARGET="arm-softmmu-config-target.h"',
        '-DCONFIG_DEVICES="arm-softmmu-config-devices.h"',
    ]


def compile_object(flags: list[str], folder: Path) -> None:
    """Compile board/emulator/*.c into `folder`/cyclone5.so and try it: QEMU must load it and know the machine."""
    log, result = folder / "build.log", folder / "cyclone5.so"
    flags += shlex.split(tool.capture(["pkg-config", "--cflags", *LIBRARIES]))
    objects = []
    for path in sorted(SOURCES.glob("*.c")):
        objects.append(folder / f"{path.stem}.o")
        tool.run(["cc", *flags, "-c", path, "-o", objects[-1]], log=log)
    tool.run(["cc", "-shared", "-o", result, *objects], log=log)
    for path in objects:
        path.unlink()
    preload = ["env", f"LD_PRELOAD={result}", "LD_BIND_NOW=1"]  # a missing symbol shows now, not in the middle of a run
    if not re.search(rf"^{MACHINE}\b", tool.capture([*preload, QEMU, "-M", "help"]), re.MULTILINE):
        raise ToolError([QEMU, "-M", "help"], 1, f"the machine {MACHINE} is not listed")


def build() -> Path:
    """Folder with `cyclone5.so`, built unless it is there. Raises UserError (another QEMU) or ToolError."""
    qemu = installed()
    found = source(qemu)
    headers = headers_stage(found)
    compiled = Stage(
        "emulator",
        texts={"flags": " ".join((*DIALECT, *WARNINGS)), "machine": os.uname().machine},
        files=(SOURCES,),
        after=(headers,),
    )
    if compiled.done():
        return compiled.result
    folder = headers.make(lambda scratch: make_headers(found, scratch))
    flags = compile_flags(qemu.series, found.tree, folder)
    return compiled.make(lambda scratch: compile_object(flags, scratch))
