# SPDX-License-Identifier: MIT
"""Faults to put into a board on which the acceptance suite then runs: each with the cases that must fail.

A fault is a shell script for root on the board and its undoing, or something that the emulated hardware does wrong.
What lies on the read-only root is covered by a changed copy (`cover`), so that the slot stays as it is.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from firmware.faults import Faults

BOUND = "test_driver_is_bound_through_the_overlay"
LONG = "test_long_capture_arrives_without_a_gap_and_without_a_copy"
LOG_IN = "test_no_password_and_no_root_log_in"
PASSWORD = "test_password_is_refused_over_the_network"  # noqa: S105  # a test's name
SLOT = "test_booted_slot_is_committed_and_first_to_be_tried"
NODE = "/sys/firmware/devicetree/base/soc/capture@ff200000"
SERVICE = "/usr/lib/captured/captured"
RESTART = "systemctl restart captured"
# CAPTURE_RING_IOC_SETUP with 32 blocks, before the service asks what it has got
SMALL_RING = (
    r"s/^\( *\)self\._identify(fabric_id)$/\1fcntl.ioctl(self._fd, 0xC0404346, bytes([0] * 4 + [32] + [0] * 59))\n&/"
)
DRIVER = "/sys/bus/platform/drivers/capture-ring"
FULL = (
    "for s in 1G 256M 64M 16M 4M 1M 128K; do i=0; "
    "while fallocate -l $s /data/full.$s.$i 2>/dev/null; do i=$((i+1)); done; done; rm -f /data/full.128K.0; sync"
)
# ETHTOOL_SSG (include/uapi/linux/ethtool.h): without scatter-gather a NIC cannot send from pages where they are
GATHER = (
    'python3 -c "import array,fcntl,socket,struct,sys; v=array.array(chr(73),[0x19,{on}]); '
    "fcntl.ioctl(socket.socket(),0x8946,struct.pack('16sP',sys.argv[1].encode(),v.buffer_info()[0]))\" "
    "$(ip -o route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/')"
)
WATCHDOG = (
    "busctl set-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "
    "RuntimeWatchdogUSec t {}"
)


@dataclass(frozen=True)
class Fault:
    """`name` for the table, `fails` the cases that must fail; `spoil` and `mend` are scripts, `inject` is hardware."""

    name: str
    fails: tuple[str, ...]
    spoil: str = ""
    mend: str = ""
    inject: Callable[[Faults], None] | None = None


def cover(file: str, edit: str) -> tuple[str, str]:
    """Scripts that mount a copy of `file`, changed by sed's `edit`, over it, and take it away again."""
    copy = f"/run/broken-{file.rpartition('/')[2]}"
    spoil = (
        f"cp -a {file} {copy}; sed -i {shlex.quote(edit)} {copy}; touch -r {file} {copy}; mount --bind {copy} {file}"
    )
    return spoil, f"umount {file}; rm {copy}"


def sshd(edit: str) -> tuple[str, str]:
    """Scripts that make sshd's settings other ones."""
    spoil, mend = cover("/etc/ssh/sshd_config.d/10-capture.conf", edit)
    return f"{spoil}; systemctl reload ssh", f"{mend}; systemctl reload ssh"


def serving_with(module: str, edit: str) -> tuple[str, str]:
    """Scripts that run the service with one of its modules changed, and as it was.

    Its byte code counts whatever the source says (firmware/bytecode.py), so an empty file takes the place of that.
    """
    spoil, mend = cover(f"{SERVICE}/{module}.py", edit)
    compiled = f"$(echo {SERVICE}/__pycache__/{module}.*.pyc)"
    spoil = f"{spoil}; : >/run/no-code; mount --bind /run/no-code {compiled}; {RESTART}"
    return spoil, f"umount {compiled}; {mend}; {RESTART}"


FAULTS: tuple[Fault, ...] = (
    Fault("no fault (control)", ()),
    Fault("service stopped", ("test_service_answers",), "systemctl stop captured", "systemctl start captured"),
    Fault(
        "a unit has failed",
        ("test_system_runs_and_no_unit_failed",),
        "systemd-run --quiet --unit=broken false; until systemctl is-failed --quiet broken; do sleep 0.1; done",
        "systemctl reset-failed broken",
    ),
    Fault(
        "sshd takes passwords",
        (LOG_IN, f"{PASSWORD}[operator]", f"{PASSWORD}[root]"),
        *sshd("s/^PasswordAuthentication no/PasswordAuthentication yes/"),
    ),
    Fault("sshd lets root in", (LOG_IN,), *sshd("s/^PermitRootLogin no/PermitRootLogin yes/")),
    Fault("root has a password", (LOG_IN,), *cover("/etc/shadow", "s/^root:[^:]*:/root:$6$salt$hash:/")),
    Fault(
        "a key lies in the image",
        ("test_slot_holds_no_key",),
        "mount -t tmpfs tmpfs /root; touch /root/authorized_keys",
        "umount /root",
    ),
    Fault(
        "another port is open",
        ("test_nothing_else_listens_on_the_network",),
        "systemd-run --quiet --unit=open python3 -c \"import socket; socket.create_server(('', 8099)).accept()\"; "
        "until ss -Hltn | grep -q :8099; do sleep 0.1; done",
        "systemctl stop open",
    ),
    Fault(
        "a UDP port is open",
        ("test_nothing_else_listens_on_the_network",),
        "systemd-run --quiet --unit=open python3 -c "
        "\"import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 8099)); time.sleep(3600)\"; "
        "until ss -Hlun | grep -q :8099; do sleep 0.1; done",
        "systemctl stop open",
    ),
    Fault(
        "device open to everybody",
        ("test_device_belongs_to_its_group_only",),
        "chmod 666 /dev/capture0",
        "chmod 660 /dev/capture0",
    ),
    Fault("watchdog not armed", ("test_watchdog_is_armed",), WATCHDOG.format(0), WATCHDOG.format(30_000_000)),
    Fault(
        "name is another board's",
        ("test_name_and_machine_id_are_the_cards",),
        "cat /proc/sys/kernel/hostname >/run/name; echo board-of-another >/proc/sys/kernel/hostname",
        "cat /run/name >/proc/sys/kernel/hostname",
    ),
    Fault(
        "an error in the kernel's log",
        ("test_kernel_log_holds_no_error",),
        "echo '<3>broken on purpose' >/dev/kmsg",
        "dmesg --clear",
    ),
    Fault(
        "an unexplained warning",
        ("test_warnings_in_the_kernel_log_are_explained",),
        "echo '<4>broken on purpose' >/dev/kmsg",
        "dmesg --clear",
    ),
    Fault("date before the image", ("test_date_is_not_before_the_image",), "date -s 2020-01-01", "date -s @{now}"),
    Fault(
        "data read-only",
        ("test_root_file_system_is_read_only_and_data_is_not",),
        "mount -o remount,bind,ro /data",
        "mount -o remount,bind,rw /data",
    ),
    Fault("data full", ("test_data_partition_keeps_what_is_written",), FULL, "rm -f /data/full.*; sync"),
    Fault(
        "recordings not writable",
        ("test_recording_beside_a_reader_is_whole_and_the_same",),
        "chown root:root /data/captured/recordings; chmod 755 /data/captured/recordings",
        "chown captured:capture /data/captured/recordings; chmod 2750 /data/captured/recordings",
    ),
    Fault(
        "release of another version",
        ("test_release_on_the_board_is_the_manifests",),
        *cover("/usr/share/cyclone-capture/release.json", r's/"version": *"[^"]*"/"version": "0.0.0"/'),
    ),
    Fault(
        "card of another image",
        ("test_card_was_made_from_the_image_under_test",),
        *cover("/data/identity/card.json", r's/"image_sha256": *"[^"]*"/"image_sha256": "0"/'),
    ),
    Fault(
        "one byte of the slot wrong",
        ("test_slot_holds_the_root_file_system_of_the_manifest",),
        # ext4 leaves the first 1024 bytes to a boot loader
        "printf x | dd of=/dev/$(ls /sys/block/dm-0/slaves) bs=1 seek=512 conv=notrunc status=none; sync",
        "head -c 1 /dev/zero | dd of=/dev/$(ls /sys/block/dm-0/slaves) bs=1 seek=512 conv=notrunc status=none; sync",
    ),
    Fault(
        "root not checked",
        ("test_each_block_of_the_root_is_checked_when_it_is_read",),
        *cover("/sys/block/dm-0/dm/name", "s/root/toor/"),
    ),
    Fault(
        "the other slot is first",
        (SLOT,),
        "fw_printenv -n BOOT_ORDER >/run/order; fw_setenv BOOT_ORDER $(awk '{print $2, $1}' /run/order)",
        "fw_setenv BOOT_ORDER $(cat /run/order)",
    ),
    Fault(
        "no attempt left for the slot",
        (SLOT,),
        "s=$(sed 's/.*rauc.slot=\\(.\\).*/\\1/' /proc/cmdline); fw_printenv -n BOOT_${s}_LEFT >/run/left; "
        "fw_setenv BOOT_${s}_LEFT 0",
        "s=$(sed 's/.*rauc.slot=\\(.\\).*/\\1/' /proc/cmdline); fw_setenv BOOT_${s}_LEFT $(cat /run/left)",
    ),
    Fault(
        "FPGA not configured",
        ("test_fpga_is_in_user_mode",),
        *cover("/sys/class/fpga_manager/fpga0/state", "s/.*/unknown/"),
    ),
    Fault(
        "overlay of another fabric",
        ("test_fabric_is_the_one_the_manifest_promises",),
        *cover(f"{NODE}/cyclone-capture,fabric-id", r"s/\x01$/\x02/"),
    ),
    Fault(
        "module of another kernel",
        ("test_module_of_another_kernel_cannot_be_in_the_slot",),
        *cover("/usr/lib/modules/$(uname -r)/updates/capture-ring.ko", "s/vermagic=./vermagic=0/"),
    ),
    Fault(
        "driver not bound",
        (BOUND,),
        f"echo ff200000.capture >{DRIVER}/unbind",
        f"echo ff200000.capture >{DRIVER}/bind; until [ -c /dev/capture0 ]; do sleep 0.1; done",
    ),
    Fault("ring too small", ("test_ring_is_as_large_as_promised",), *serving_with("ring", SMALL_RING)),
    Fault("network card copies", (LONG,), GATHER.format(on=0), GATHER.format(on=1)),
    Fault("one wrong sample", (LONG,), inject=lambda faults: faults.source.flip(1)),
    Fault("stale cache lines", (LONG,), inject=lambda faults: faults.msgdma.leave_stale(8)),
    Fault("samples lost", (LONG,), inject=lambda faults: faults.source.drop(4096)),
    Fault("lost interrupts (control)", (), inject=lambda faults: faults.msgdma.lose_interrupts(3)),
)
