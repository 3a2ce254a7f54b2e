# SPDX-License-Identifier: MIT
SUMMARY = "Mainline Linux 6.12 LTS for Cyclone V"
DESCRIPTION = "kernel.org's long-term kernel, socfpga_defconfig and the fragments that the Debian engine uses too."
HOMEPAGE = "https://www.kernel.org/"
SECTION = "kernel"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://COPYING;md5=6bc538ed5bd9a7fc9398086aedcd7e46"

inherit kernel config_assert capture_sources

LINUX_VERSION = "6.12.80"
PV = "${LINUX_VERSION}"
SRC_URI = "https://cdn.kernel.org/pub/linux/kernel/v6.x/linux-${LINUX_VERSION}.tar.xz \
           file://capture.cfg \
           ${@"file://debug.cfg" if d.getVar("CYCLONE_CAPTURE_KERNEL_DEBUG") == "1" else ""} \
           ${@"file://${CYCLONE_CAPTURE_OWN_DEVICE_TREE}" if d.getVar("CYCLONE_CAPTURE_OWN_DEVICE_TREE") else ""} \
           "
SRC_URI[sha256sum] = "c92591d896e79ecddbc3319136f0c2f855e832b397de7593f013ad7590a43e53"
S = "${UNPACKDIR}/linux-${LINUX_VERSION}"

COMPATIBLE_MACHINE = "^socfpga$"
KERNEL_EXTRA_ARGS = "LOADADDR=0x8000"
# Set by the machine when mainline has no device tree for it: the name of the project's own.
CYCLONE_CAPTURE_OWN_DEVICE_TREE ??= ""
# Set by layers/kas/debug.yml
CYCLONE_CAPTURE_KERNEL_DEBUG ??= "0"
KERNEL_CONFIG_COMMAND = "capture_kernel_config"

# kernel.bbclass merges no fragments; the kernel's own script does.
capture_kernel_config() {
    oe_runmake_call -C ${S} O=${B} socfpga_defconfig
    ${S}/scripts/kconfig/merge_config.sh -m -O ${B} ${B}/.config ${@" ".join(find_cfgs(d))}
    oe_runmake_call -C ${S} O=${B} olddefconfig
}

do_configure:prepend() {
    if [ -n "${CYCLONE_CAPTURE_OWN_DEVICE_TREE}" ]; then
        install -m 0644 ${UNPACKDIR}/${CYCLONE_CAPTURE_OWN_DEVICE_TREE} ${S}/arch/arm/boot/dts/intel/socfpga/
    fi
}
