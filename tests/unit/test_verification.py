# SPDX-License-Identifier: MIT
"""Verification of an image: each kind of damage is named with its place and what is valid; a sound image passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import boot_loader, identity, image, layout, payload, render, rendering, verification
from firmware.choice import Choice
from firmware.errors import UserError
from firmware.provenance import BOARD_FILE, LOCK_FILE, board_text, debian_lock
from tests.unit import sound_image
from tests.unit.test_proof import HEADER, UBOOT, make_spl

pytestmark = pytest.mark.unit
SLOT = layout.SLOT_A.offset
KEY = identity.new_key().private.encode()
PLACE_1 = boot_loader.marked(make_spl(), 1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_image.make_image(tmp_path_factory.mktemp("image"))


@contextmanager
def written(path: Path, offset: int, content: bytes) -> Iterator[None]:
    """`content` at `offset` of the file, until the block ends."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        before = stream.read(len(content))
        stream.seek(offset)
        stream.write(content)
    try:
        yield
    finally:
        with path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(before)


def wrong(path: Path, config: str = "") -> list[str]:
    return [f"{finding.name}: {line}" for finding in verification.examine(path, config) for line in finding.wrong]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no image .*valid: one made by \./inv build"):
        verification.run(Choice(), str(tmp_path / "no.img"))


def test_image_of_another_size_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "x.img").write_bytes(bytes(4096))
    assert wrong(tmp_path / "x.img") == [f"structure: x.img has 4096 bytes (valid: {layout.IMAGE_BYTES})"]


@pytest.mark.parametrize(
    ("offset", "content", "said"),
    [
        (510, b"\0\0", "structure: .* has no partition table"),
        (HEADER + 65536, b"BAD!", "structure: SPL copy 1: validation word .*valid: 0x31305341"),
        (UBOOT + 4, b"\1\2\3\4", "structure: U-Boot, 0x40000 behind .*: header CRC 0x01020304 .valid: 0x"),
        (UBOOT + 80, b"?", "boot loader: U-Boot, 0x40000 behind .* is not slot A's u-boot.img"),
        (layout.BOOT.offset + 3 * layout.SPL_BYTES - 1, b"\1", "boot loader: SPL copy 2 is not slot A's spl-0 .valid"),
        (layout.ENVIRONMENT_OFFSETS[0] + 1, b"\1", "structure: the environment at 0x800000: CRC"),
        (layout.DATA.offset + 1024 + 56, b"\0\0", "structure: partition 4 holds no ext4"),
        (layout.DATA.offset + 1024 + 56, b"\0\0", "file systems: data: e2fsck: .*valid: nothing to repair"),
        (SLOT + (2 << 20), b"\1", "hash tree: veritysetup: .*valid: a tree that agrees with every block"),
        (SLOT + (4 << 20), b"\1", "hash tree: .*valid: verity's parameters for 1024 blocks"),
        (SLOT + 4096, bytes(12), "file systems: slot A: e2fsck: .*valid: nothing to repair"),
    ],
)
def test_damage_is_named(sound: Path, offset: int, content: bytes, said: str) -> None:
    with written(sound, offset, content):
        assert [line for line in wrong(sound) if re.match(said, line)], wrong(sound)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BOOT_ORDER", "A", r"BOOT_ORDER is 'A' .valid: 'A B'"),
        ("BOOT_B_LEFT", "0", r"BOOT_B_LEFT is '0' .valid: '3'"),
        ("try_B", "setenv slot_partition 2; setenv slot_device /dev/mmcblk0p3;", "try_B does not say .*partition 3"),
        ("try_A", "", "try_A does not say 'setenv slot_device /dev/mmcblk0p2;'"),
        ("import_identity", "load mmc 0:2 x /identity", "import_identity does not read partition 4"),
    ],
)
def test_boot_script_for_another_layout_is_named(sound: Path, name: str, value: str, said: str) -> None:
    with written(sound, layout.BOOT.offset, sound_image.make_uboot_with_spl({name: value})):
        assert [line for line in wrong(sound) if re.match(f"boot script: {said}", line)], wrong(sound)


def test_u_boot_without_a_boot_script_is_named(sound: Path) -> None:
    bare = sound_image.make_uboot_with_spl({"BOOT_ORDER": "A B"}).replace(b"\0BOOT_ORDER", b"\0SHOE_ORDER")
    with written(sound, layout.BOOT.offset, bare):
        assert any("no environment with BOOT_ORDER is compiled into U-Boot" in line for line in wrong(sound))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"/boot/board.dtb": None}, "/boot/board.dtb is not in slot A"),
        ({"/boot/board.dtb": b"no tree"}, "/boot/board.dtb is no device tree .valid: d00dfeed at byte 0x0"),
        ({"/boot/overlay.dtbo": sound_image.tree_blob()[:39]}, r"overlay.dtbo has 39 bytes .valid: 40"),
        ({"/boot/zImage": bytes(64)}, "/boot/zImage is no ARM zImage"),
        ({"/etc/fw_env.config": b"/dev/mmcblk0 0x4400 0x2000\n"}, r"fw_env.config is .*valid: /dev/mmcblk0 0x800000"),
        ({"/etc/fw_env.config": b"/dev/mmcblk0 zero\n"}, r"fw_env.config: .*valid: lines of device, offset, size"),
        ({"/boot/verity": None}, r"hash tree: /boot/verity is not in slot A"),
        ({f"{payload.LOADER}/spl-0": None}, "boot loader: /usr/lib/cyclone-capture/boot-loader/spl-0 is not in slot A"),
        ({f"{payload.LOADER}/spl-0": PLACE_1}, "boot loader: SPL copy 3 is not slot A's spl-0"),
        ({"/etc/fw_env.config": None}, "/etc/fw_env.config is not in slot A"),
        ({"/etc/rauc/system.conf": b"[slot.rootfs.0]\ndevice=/dev/sda1\nbootname=A\n"}, "slots .*sda1.*valid: .*'B'"),
        ({"/etc/rauc/system.conf": b"device=x"}, "system.conf: .*valid: RAUC's system.conf"),
        ({"/etc/fstab": b"/dev/mmcblk0p3 /data ext4 x\n"}, "/etc/fstab does not mount /dev/mmcblk0p4 on /data"),
        ({"/usr/share/cyclone-capture/release.json": b"{}"}, r"release.json names no board .valid: .*sockit"),
        (
            {"/root/.ssh/id_ed25519": KEY},
            r"private keys: slot A: /root/.ssh/id_ed25519 holds a private key .valid: none",
        ),
        ({BOARD_FILE: None}, "board.json is not in slot A"),
        ({BOARD_FILE: b"{}"}, r"board.json: Field required .valid: the resolved board file"),
        (
            {BOARD_FILE: board_text(boards.load("de10-nano")).encode()},
            r"board.json is of board 'de10-nano' .valid: 'sockit'",
        ),
        ({LOCK_FILE: None}, "lock.json is not in slot A"),
        ({LOCK_FILE: b"[]"}, r"lock.json does not say what was used .valid: engine 'yocto' with layers"),
        ({LOCK_FILE: b'{"engine": "yocto", "layers": {}}'}, "lock.json does not say what was used"),
        (
            {LOCK_FILE: debian_lock([{"name": "a", "version": "1"}], []).encode()},
            "lock.json does not say what was used",
        ),
    ],
)
def test_slot_that_does_not_fit_is_named(sound: Path, tmp_path: Path, changes: sound_image.Changes, said: str) -> None:
    slot = sound_image.make_slot(tmp_path / "slot", tmp_path, changes).read_bytes()
    with written(sound, SLOT, slot):
        assert [line for line in wrong(sound) if re.search(said, line)], wrong(sound)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_USE_PARTITION_TYPE=y", "# it is gone"),
        (
            "CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION_TYPE=0xa2",
            "CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION_TYPE=0x83",
        ),
        ("CONFIG_ENV_OFFSET=0x800000", "CONFIG_ENV_OFFSET=0x4400"),
        ("CONFIG_SYS_REDUNDAND_ENVIRONMENT=y", "# CONFIG_SYS_REDUNDAND_ENVIRONMENT is not set"),
        ("CONFIG_SPL_PAD_TO=0x10000", "CONFIG_SPL_PAD_TO=0x20000"),
    ],
)
def test_configuration_that_does_not_agree_is_named(sound: Path, line: str, other: str) -> None:
    config = sound_image.built_config()
    assert line in config
    name = re.split("[= ]", line)[0]
    assert any(f"U-Boot's config: {name}: " in said for said in wrong(sound, config.replace(line, other)))


def test_configuration_that_bitbake_built_passes(sound: Path) -> None:
    assert wrong(sound, sound_image.bitbake_config()) == []


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=0xa00", "CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=0x200"),
        ("CONFIG_ENV_REDUNDANT=y", "# CONFIG_ENV_REDUNDANT is not set"),
        ("CONFIG_ENV_DEFAULT_ENV_TEXT_FILE=", "CONFIG_ENV_DEFAULT_ENV_TEXT_FOLDER="),
        ("CONFIG_ENV_OFFSET=0x800000", "CONFIG_ENV_OFFSET=0x4400"),
        ("CONFIG_WATCHDOG_AUTOSTART=y", ""),
    ],
)
def test_configuration_of_bitbake_that_does_not_agree_is_named(sound: Path, line: str, other: str) -> None:
    config = sound_image.bitbake_config()
    assert line in config
    name = line.partition("=")[0]
    (said,) = wrong(sound, config.replace(line, other))
    assert said.startswith(f"U-Boot's config: {name}: ")


def test_configuration_is_looked_at_with_the_names_of_its_own_release(sound: Path) -> None:
    said = "\n".join(wrong(sound, sound_image.bitbake_config().replace("2026.01", "2023.01")))
    assert "CONFIG_SYS_REDUNDAND_ENVIRONMENT: " in said
    said = "\n".join(wrong(sound, sound_image.built_config().replace("2023.01", "2026.01")))
    assert "CONFIG_ENV_REDUNDANT: " in said


def test_configuration_of_no_release_is_named(sound: Path) -> None:
    config = sound_image.built_config().partition("\n")[2]
    assert wrong(sound, config) == [
        "U-Boot's config: says of no release (valid: a .config as U-Boot's build leaves it, with '# U-Boot 2023.01 "
        "Configuration')"
    ]


def test_all_damage_is_said_at_once(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with written(sound, HEADER, b"XX"), written(sound, HEADER + 65536, b"XX"):
        with pytest.raises(UserError, match=r"no sound image(.|\n)*SPL copy 0(.|\n)*SPL copy 1"):
            verification.require(sound)
        with pytest.raises(UserError, match="not sound, 4 wrong"):
            verification.run(Choice(), str(sound))
    assert "wrong  structure        SPL copy 1: validation word" in capsys.readouterr().out


def test_sound_image_passes(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong(sound, sound_image.built_config()) == []
    verification.require(sound)
    verification.report(sound)
    assert "not checked U-Boot's config  the build's .config is not at hand" in capsys.readouterr().out


@pytest.mark.parametrize("name", boards.names())
def test_both_engines_render_the_layouts_partitions(name: str) -> None:
    board = boards.load(name)
    wanted = [(part.type, part.offset, part.size) for part in layout.PARTITIONS]
    text = render.text(image.TEMPLATE, board, disk_signature=1)
    found = re.findall(r"partition-type = (\S+)\s+offset = (\d+)\s+size = (\d+)", text)
    assert [tuple(int(value, 0) for value in line) for line in found] == wanted
    (wks,) = [text for path, text in rendering.render_all(board).items() if path.endswith(f"{name}.wks.in")]
    found = re.findall(r"^part .*--system-id=(\S+) --offset (\d+)K --fixed-size (\d+)K$", wks, re.MULTILINE)
    assert [(int(kind, 0), int(at) << 10, int(size) << 10) for kind, at, size in found] == wanted
