#!/bin/sh
# SPDX-License-Identifier: MIT
# The first program of the board with the debug kernel, in place of systemd: file systems, network, driver, OpenSSH, and
# nothing else. Under KASAN systemd's units take so long that those which wait for the card's partitions give up, and
# with them OpenSSH. Who logs in finds all that programs of tests need; no service runs, the capture device is free.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
date -s "@$(stat -c %Y /usr/lib/clock-epoch)" >/dev/null    # the board has no clock, and sudo wants no password of the future
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
for place in /run /var /tmp; do
    mount -t tmpfs tmpfs "$place"
done
chmod 1777 /tmp
mkdir -p /dev/pts /dev/shm /run/sshd
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm

# U-Boot has started the watchdog; closed properly, it is petted by the kernel alone
echo V >/dev/watchdog

ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
sysctl -q -p /etc/sysctl.d/50-capture.conf
sysctl -q kernel.panic_on_oops=0
mount -t ext4 /dev/mmcblk0p4 /data
modprobe capture-ring
# as udev does where it runs
chgrp capture /dev/capture0
chmod 660 /dev/capture0
echo "first program: ready"
while :; do
    /usr/sbin/sshd -D -e
done
