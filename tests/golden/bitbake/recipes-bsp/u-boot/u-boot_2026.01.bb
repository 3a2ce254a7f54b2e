# SPDX-License-Identifier: MIT
SUMMARY = "Stands for OpenEmbedded-Core's recipe, which a .bbappend of ours changes"
LICENSE = "GPL-2.0-or-later"
SRC_URI = ""
PACKAGE_BEFORE_PN ?= ""
PACKAGES = "${PACKAGE_BEFORE_PN} ${PN}"
B = "${WORKDIR}/build"

uboot_compile() {
    true
}
