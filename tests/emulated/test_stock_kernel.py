# SPDX-License-Identifier: MIT
"""A kernel that nobody here configured or built: Debian's own armhf kernel package, with the device tree that is in it.

It is started as the SPL would leave the machine, and must reach user space with both CPUs and without an unexplained
error. The package is fetched once, by apt, verified.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import armhf, base, program, tool
from firmware import board as boards
from firmware.emulator import Emulator
from firmware.emulator_command import Direct
from firmware.errors import TargetError
from firmware.layout import MIB
from firmware.stage import Stage

pytestmark = pytest.mark.emulated

META = "linux-image-armmp"
DEVICE_TREE = "socfpga_cyclone5_de0_nano_soc.dtb"
BOARD = boards.load(boards.DEFAULT_BOARD)
BOOT_SECONDS = 120.0
DIRECTORY, PROGRAM, CONSOLE = 0o40755, 0o100755, 0o20600


def package() -> Path:
    """Folder with `vmlinuz`, the device tree and `release`."""
    index = armhf.Index(base.archive(), status="")
    meta = index.newest(META, binary=True)
    said = tool.capture(["apt-cache", "depends", META], environment=index.environment)
    name = re.findall(r"Depends: (linux-image-\S+)", said)[0]
    kernel = index.newest(name, binary=True)

    def work(folder: Path) -> None:
        log = folder / "fetch.log"
        index.run(["apt-get", "download", f"{name}={kernel.version}"], log, cwd=folder)
        tool.run(["dpkg-deb", "-x", *folder.glob("*.deb"), folder / "tree"], log)
        shutil.copy(next((folder / "tree/boot").glob("vmlinuz-*")), folder / "vmlinuz")
        shutil.copy(next((folder / "tree/usr/lib").glob(f"linux-image-*/{DEVICE_TREE}")), folder)
        (folder / "release").write_text(name.removeprefix("linux-image-"))
        shutil.rmtree(folder / "tree")
        next(folder.glob("*.deb")).unlink()

    return Stage("stock-kernel", texts={"meta": meta.sha256, "kernel": kernel.sha256}).make(work)


def entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One file of a cpio archive, format "newc" (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""
    size = len(name) + 1
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, size, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def initramfs(first: bytes) -> bytes:
    """An archive with `first` as /init."""
    folders = b"".join(entry(name, DIRECTORY) for name in ("dev", "proc", "sys"))
    files = entry("dev/console", CONSOLE, device=(5, 1)) + entry("init", PROGRAM, first)
    return folders + files + entry("TRAILER!!!", 0)


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("stock")
    stock = package()
    (folder / "initrd").write_bytes(initramfs(program.build(program.PROGRAMS / "stock_init.c").read_bytes()))
    with (folder / "card.img").open("wb") as card:
        card.truncate(MIB)
    machine = Emulator(BOARD, folder / "card.img", folder)
    machine.start(
        direct=Direct(stock / "vmlinuz", stock / DEVICE_TREE, folder / "initrd", "console=ttyS0,115200 rdinit=/init")
    )
    try:
        yield machine
    finally:
        machine.stop()


def test_without_a_first_program_it_says_so(tmp_path: Path) -> None:
    stock = package()
    (tmp_path / "initrd").write_bytes(initramfs(b"no program"))
    with (tmp_path / "card.img").open("wb") as card:
        card.truncate(MIB)
    machine = Emulator(BOARD, tmp_path / "card.img", tmp_path)
    machine.start(direct=Direct(stock / "vmlinuz", stock / DEVICE_TREE, tmp_path / "initrd", "console=ttyS0,115200"))
    try:
        machine.wait_console(r"Failed to execute /init \(error -8\)", BOOT_SECONDS)
        with pytest.raises(TargetError, match="not seen within"):
            machine.wait_console("user space on", 1.0)
    finally:
        machine.stop()


def test_boots_to_user_space_with_both_cpus(booted: Emulator) -> None:
    found = booted.wait_console(r"user space on (.*), kernel (.*), CPUs (.*) online", BOOT_SECONDS)
    assert found[1] == "Terasic DE-0(Atlas)"
    assert found[2] == (package() / "release").read_text()
    assert found[3] == "0-1"
    log = booted.console_log.read_text(errors="replace")
    assert "SMP: Total of 2 processors activated" in log
    assert not re.findall(r"(?i)^.*(?:unable to handle|oops|kernel panic|WARNING: CPU|bug:).*$", log, re.MULTILINE)
