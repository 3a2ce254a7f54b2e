# SPDX-License-Identifier: MIT
"""U-Boot: the environment's form, what is asserted on the built image, and the boot logic itself.

The environment is written for U-Boot's shell, whose grammar for what we use is that of POSIX: so the real rendering is
run by /bin/sh, with the board's commands as shell functions that read files and counters of the test.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from firmware import board, layout, render, uboot
from firmware.errors import UserError

pytestmark = pytest.mark.unit

BOARD = board.load(board.DEFAULT_BOARD)
VARIABLES = uboot.variables(render.text("boot/environment.txt.j2", BOARD))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no equals sign\n", "NAME=VALUE"),
        ("a=1\na=2\n", "a is set twice"),
        ('a=echo "open\n', "a: quotes do not match"),
        ('a=echo \\\n  "x" \\\n  "\n', "a: quotes do not match"),
    ],
)
def test_a_broken_environment_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        uboot.variables(text)


def test_lines_are_joined_as_u_boot_does() -> None:
    text = "# comment\na=1\n\nb=\\\n  one; \\\n  two\nc=3\n"
    assert uboot.variables(text) == {"a": "1", "b": "one; two", "c": "3"}


@pytest.mark.parametrize(
    ("spl", "image", "said"),
    [(uboot.SPL_LIMIT + 1, 1, "SPL has 61441 bytes"), (1, layout.U_BOOT_OFFSETS[1] + 1, "valid: at most 2097152")],
)
def test_too_big_is_refused(spl: int, image: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        uboot.check_sizes(spl, image)


def test_an_image_without_its_copies_is_refused() -> None:
    content = bytearray(layout.U_BOOT_OFFSET + 64)
    for copy in range(layout.SPL_COPIES):
        place = copy * layout.SPL_BYTES + 0x40
        with pytest.raises(UserError, match=f"no SPL header at {place:#x}"):
            uboot.check_image(bytes(content))
        content[place : place + 4] = uboot.SPL_MAGIC
    with pytest.raises(UserError, match="no U-Boot at 0x40000"):
        uboot.check_image(bytes(content))
    content[layout.U_BOOT_OFFSET : layout.U_BOOT_OFFSET + 4] = uboot.UIMAGE_MAGIC
    uboot.check_image(bytes(content))


def test_the_fragment_places_the_environment_outside_all_partitions() -> None:
    text = uboot.fragments(BOARD)["templates/boot/u-boot.cfg.j2"]
    assert "CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION_TYPE=0xa2" in text
    for offset in layout.ENVIRONMENT_OFFSETS:
        assert f"={offset:#x}" in text
        for partition in layout.PARTITIONS:
            assert offset + layout.ENVIRONMENT_BYTES <= partition.offset or offset >= partition.end


TABLE = "4096 4096 1024 1025 sha256 00ff 11ee"
TREE = f"verity_sectors=8192 verity_table='{TABLE}'"

# The board's commands. A file that is to fail to load stands in $MISSING, a command that is to fail in $FAILING.
SHIMS = r"""
set -f  # no patterns in U-Boot's shell
log() { printf '%s\n' "$*" >>"$LOG"; }
fails() { case " $FAILING " in *" $1 "*) return 0;; *) return 1;; esac; }
number() { case "$1" in 0x) echo 0;; *) echo "$1";; esac; }  # as strtol() does
test() {
  case "$2" in
    mmc) case " $MISSING " in *" $3:$4 "*) return 1;; *) return 0;; esac;;
    -gt|-lt|-le) [ "$(($(number $1)))" "$2" "$(($3))" ];;
    *) [ "$@" ];;
  esac
}
run() { eval "$(eval "printf %s \"\$$1\"")"; }
setenv() { name=$1_; shift; eval "${name%_}=\$*"; }
setexpr() { eval "$1=$(printf %x $(($2 $3 $4)))"; }
setexpr_l() {  # a word in memory: of the superblock, read to 0x02280000, where its file system ends
  [ "$2" = "*0x2280004" ] && eval "$1=$(printf %x $((0x$BLOCKS $3 $4)))"
}
saveenv() {
  saved="delay $bootdelay"
  log "save A=$BOOT_A_LEFT B=$BOOT_B_LEFT"; ! fails saveenv
}
load() {
  case " $MISSING " in *" $2:$4 "*) return 1;; esac
  filesize=1f; log "load $2 $3 $4"
}
fpga() { log "fpga $*"; ! fails fpga; }
bridge() { log "bridge $*"; }
mmc() { log "mmc $*"; ! fails mmc && ! fails "mmc-$1"; }
fdt() { log "fdt $*"; [ "$1" != apply ] || ! fails apply; }
env() {
  log "env $*"
  case "$3" in
    0x02280000) eval "$TREE"; ! fails env;;
    *) [ -z "$IDENTITY" ] || eval "$IDENTITY";;
  esac
}
bootz() { log "bootz $*"; log "bootargs $bootargs"; if ! fails "bootz$slot"; then exit 0; fi; }
sleep() { log "sleep $*"; }
dhcp() { log dhcp; ! fails dhcp || return 1; ipaddr=10.0.2.15; serverip=10.0.2.2; }
tftpboot() { log "tftpboot $* from $serverip"; filesize=$TFTP_SIZE; ! fails tftpboot; }
reset() { log "reset with $saved"; exit 0; }
run $ENTRY
log prompt
"""


def boot(
    folder: Path,
    missing: str = "",
    failing: str = "",
    identity: str = "",
    entry: str = "bootcmd",
    tree: str = TREE,
    **changed: str,
) -> list[str]:
    """What the board does: its commands in order, started with `changed` variables."""
    values = {**VARIABLES, **changed}
    quoted = "".join(f"{name}='" + value.replace("'", "'\\''") + "'\n" for name, value in values.items())
    script, log = folder / "boot.sh", folder / "log"
    log.unlink(missing_ok=True)
    script_text = f"{quoted}{SHIMS}".replace("setexpr.l ", "setexpr_l ")  # no name for a POSIX function
    settings = f'BLOCKS=400 TREE="{tree}"\n'
    settings += f"LOG='{log}' MISSING='{missing}' FAILING='{failing}'\nIDENTITY='{identity}' ENTRY='{entry}'\n"
    script.write_text(settings + script_text)
    done = subprocess.run(["/bin/sh", script], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert "not found" not in done.stderr, done.stderr
    return log.read_text().splitlines()


def booted(events: list[str]) -> str:
    """The kernel's arguments of the last start."""
    return next(line.removeprefix("bootargs ") for line in reversed(events) if line.startswith("bootargs "))


def test_first_boot_counts_before_it_loads_and_configures_the_fabric(tmp_path: Path) -> None:
    events = boot(tmp_path)
    names = [line.split()[0] for line in events]
    assert events[0] == "save A=2 B=3"
    assert names.index("save") < names.index("load")
    assert names.index("fpga") < names.index("bridge") < names.index("bootz")
    assert "fdt apply 0x02100000" in events
    arguments = booted(events).split()
    assert {
        "root=/dev/dm-0",
        "dm-mod.waitfor=/dev/mmcblk0p2",
        "ro",
        "rauc.slot=A",
        "systemd.volatile=state",
        "panic=5",
    } <= set(arguments)
    assert not any(word.startswith("systemd.hostname") for word in arguments)


def test_the_order_is_obeyed(tmp_path: Path) -> None:
    assert "rauc.slot=B" in booted(boot(tmp_path, BOOT_ORDER="B A"))


@pytest.mark.parametrize("slot", layout.SLOTS)
def test_root_is_read_through_the_tree_behind_the_file_system(tmp_path: Path, slot: str) -> None:
    events = boot(tmp_path, BOOT_ORDER=slot)
    partition = layout.SLOTS[slot]
    start = partition.offset // layout.SECTOR_BYTES
    assert [line for line in events if line.startswith("mmc read")] == [
        f"mmc read 0x02280000 0x{start + 2:x} 0x2",
        f"mmc read 0x02280000 0x{start + 0x400 * 8:x} 0x8",
    ]
    device = partition.device
    assert f' dm-mod.create="root,,,ro,0 8192 verity 1 {device} {device} {TABLE}" ' in f" {booted(events)} "
    assert f" dm-mod.waitfor={device} root=/dev/dm-0 rootfstype=ext4 ro " in booted(events)


def test_slot_of_a_version_that_had_no_tree_is_booted_without(tmp_path: Path) -> None:
    events = boot(tmp_path, missing="0:2:/boot/verity", tree="verity_table=stale", verity_table="stale")
    assert "root=/dev/mmcblk0p2" in booted(events).split()
    assert "dm-mod" not in booted(events)


@pytest.mark.parametrize(
    ("failing", "tree"),
    [("mmc-read", TREE), ("env", TREE), ("", "true"), ("", "verity_sectors=1"), ("", "verity_table=1")],
)
def test_slot_that_has_lost_its_tree_is_passed_over(tmp_path: Path, failing: str, tree: str) -> None:
    stale = {"verity_table": TABLE, "verity_sectors": "8192", "root_args": "root=/dev/mmcblk0p2"}
    events = boot(tmp_path, failing=failing, tree=tree, **stale)
    assert not any(line.startswith("bootz") for line in events)
    assert "save A=2 B=2" in events, "the other slot is tried"


def test_a_slot_without_attempts_is_passed_over(tmp_path: Path) -> None:
    events = boot(tmp_path, BOOT_A_LEFT="0")
    assert "rauc.slot=B" in booted(events)
    assert not any(line.startswith("load 0:2") or line.startswith("load mmc 0:2") for line in events)


@pytest.mark.parametrize("name", ["zImage", "board.dtb", "overlay.dtbo", "fabric.rbf"])
def test_a_slot_that_lacks_a_file_is_passed_over(tmp_path: Path, name: str) -> None:
    events = boot(tmp_path, missing=f"0:2:/boot/{name}")
    assert "rauc.slot=B" in booted(events)
    assert events.count("save A=2 B=2") == 1
    assert "mmc rescan" in events[: events.index("save A=2 B=2")], "a read error must not spoil the other slot"


def test_a_kernel_that_u_boot_refuses_leads_to_the_other_slot(tmp_path: Path) -> None:
    assert "rauc.slot=B" in booted(boot(tmp_path, failing="bootzA"))


@pytest.mark.parametrize(
    "changed",
    [
        {"BOOT_A_LEFT": "0", "BOOT_B_LEFT": "0"},
        {"BOOT_A_LEFT": "", "BOOT_B_LEFT": ""},
        {"BOOT_ORDER": ""},
        {"BOOT_ORDER": "B", "BOOT_B_LEFT": "0"},
    ],
)
def test_counters_that_lead_nowhere_are_set_again(tmp_path: Path, changed: dict[str, str]) -> None:
    events = boot(tmp_path, **changed)
    assert f"save A={layout.BOOT_ATTEMPTS} B={layout.BOOT_ATTEMPTS}" in events
    assert "rauc.slot=A" in booted(events)


def test_hexadecimal_counters(tmp_path: Path) -> None:
    assert boot(tmp_path, BOOT_A_LEFT="10")[0] == "save A=f B=3"


def test_with_nothing_to_boot_the_board_waits_and_resets(tmp_path: Path) -> None:
    events = boot(tmp_path, missing="0:2:/boot/zImage 0:3:/boot/zImage")
    assert events[-2:] == ["sleep 10", "reset with delay 30"], "the next countdown gives time to type"
    assert not any(line.startswith("bootz") for line in events)


def test_countdown_is_short_again_as_soon_as_a_slot_is_tried(tmp_path: Path) -> None:
    events = boot(tmp_path, missing="0:2:/boot/zImage", failing="bootzB", bootdelay="30")
    assert "save A=2 B=2" in events
    assert VARIABLES["try_A"].index("setenv bootdelay 1") < VARIABLES["try_A"].index("saveenv")
    assert VARIABLES["try_B"].index("setenv bootdelay 1") < VARIABLES["try_B"].index("saveenv")


IMPORT = "env import -t 0x02200000 1f ethaddr hostname machine_id"  # the board's own MAC address, before DHCP hears it
SLOT_SECTOR = f"{layout.SLOT_A.offset // layout.SECTOR_BYTES:#x}"


@pytest.mark.parametrize(
    ("failing", "size"),
    [("dhcp tftpboot", "0"), ("tftpboot", "4000"), ("", "0"), ("", f"{layout.SLOT_A.size + 1:x}")],
)
def test_recovery_writes_nothing_when_there_is_no_file_that_fits(tmp_path: Path, failing: str, size: str) -> None:
    events = boot(tmp_path, entry="recover", failing=failing, TFTP_SIZE=size)
    assert not any(line.startswith(("mmc write", "save")) for line in events)
    assert events[-1] == "prompt"


def test_recovery_that_cannot_write_leaves_the_counters_alone(tmp_path: Path) -> None:
    assert "save A=3 B=3" not in boot(tmp_path, entry="recover", failing="mmc", TFTP_SIZE="4000")


@pytest.mark.parametrize("size", ["3e01", "4000", f"{layout.SLOT_A.size:x}"])
def test_recovery_fetches_slot_a_and_gives_it_its_attempts_back(tmp_path: Path, size: str) -> None:
    events = boot(tmp_path, entry="recover", TFTP_SIZE=size, BOOT_ORDER="B A", BOOT_A_LEFT="0")
    sectors = -(-int(size, 16) // layout.SECTOR_BYTES)
    assert events[:2] == [f"load 0:{layout.DATA.number} 0x02200000 /identity/identity.env", IMPORT]
    assert events[2:] == [
        "dhcp",
        "tftpboot 0x01000000 rootfs.ext4 from 10.0.2.2",
        f"mmc write 0x01000000 {SLOT_SECTOR} {sectors:#x}",
        "save A=3 B=3",
        "prompt",
    ]


def test_recovery_with_addresses_of_ones_own(tmp_path: Path) -> None:
    own = {"ipaddr": "192.0.2.7", "serverip": "192.0.2.1", "recovery_file": "slot.ext4"}
    assert boot(tmp_path, entry="recover", TFTP_SIZE="200", **own)[2] == (
        "tftpboot 0x01000000 slot.ext4 from 192.0.2.1"
    )
    events = boot(tmp_path, entry="recover", TFTP_SIZE="200", recovery_server="192.0.2.9")
    assert events[2:4] == ["dhcp", "tftpboot 0x01000000 rootfs.ext4 from 192.0.2.9"]


def test_an_unconfigured_fabric_is_never_touched(tmp_path: Path) -> None:
    events = boot(tmp_path, failing="fpga")
    assert not any(line.startswith(("bridge", "fdt apply")) for line in events)
    assert "rauc.slot=A" in booted(events)


def test_a_refused_overlay_leaves_the_plain_device_tree(tmp_path: Path) -> None:
    events = boot(tmp_path, failing="apply")
    loads = [place for place, line in enumerate(events) if line.endswith("/boot/board.dtb")]
    assert len(loads) == 2
    assert events.index("fdt apply 0x02100000") < loads[1]
    assert "rauc.slot=A" in booted(events)


def test_an_environment_that_cannot_be_saved_does_not_stop_the_boot(tmp_path: Path) -> None:
    assert "rauc.slot=A" in booted(boot(tmp_path, failing="saveenv"))


def test_identity_is_imported_by_name_and_reaches_the_kernel(tmp_path: Path) -> None:
    events = boot(tmp_path, identity="hostname=bench-7; machine_id=0123456789abcdef0123456789abcdef")
    assert "env import -t 0x02200000 1f ethaddr hostname machine_id" in events
    arguments = booted(events).split()
    assert "systemd.hostname=bench-7" in arguments
    assert "systemd.machine_id=0123456789abcdef0123456789abcdef" in arguments


def test_an_identity_of_an_earlier_card_is_forgotten(tmp_path: Path) -> None:
    events = boot(tmp_path, missing="0:4:/identity/identity.env", hostname="old", machine_id="0" * 32)
    assert not any(line.startswith("env ") and "hostname" in line for line in events)
    assert "old" not in booted(events)
