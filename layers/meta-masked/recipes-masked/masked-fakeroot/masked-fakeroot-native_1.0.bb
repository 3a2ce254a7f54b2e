# SPDX-License-Identifier: MIT
SUMMARY = "Stands for pseudo in a masked build folder"
DESCRIPTION = "Every task that installs depends on it, and BitBake must find tasks there; it is never built."
HOMEPAGE = "https://www.yoctoproject.org/"
SECTION = "devel"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
PROVIDES = "virtual/fakeroot-native"

inherit native nopackages

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
deltask do_install
