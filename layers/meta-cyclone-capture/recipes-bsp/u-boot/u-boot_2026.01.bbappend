# SPDX-License-Identifier: MIT
# Same fragments and environment as the Debian engine. All of it holds for Cyclone V boards only (override socfpga).
FILESEXTRAPATHS:prepend:socfpga := "${THISDIR}/files:${CYCLONE_CAPTURE_RENDERED}/boot:${CYCLONE_CAPTURE_RENDERED}/yocto:"

# U-Boot makes a C array of the environment's text with it.
DEPENDS:append:socfpga = " xxd-native"

# u-boot-2026.cfg is last: it has what this release calls by another name, and where the card's layout puts U-Boot.
SRC_URI:append:socfpga = " \
    file://0001-mmc-dw_mmc-report-data-errors-in-DMA-mode.patch \
    file://capture.cfg \
    file://u-boot.cfg \
    file://u-boot-2026.cfg \
    file://capture-u-boot.dtsi \
    file://environment.txt \
    "

inherit_defer ${@"config_assert capture_boot_loader" if "socfpga" in d.getVar("MACHINEOVERRIDES").split(":") else ""}

# Names of older releases; what they are called now stands in u-boot-2026.cfg.
CONFIG_ASSERT_SKIP:socfpga = " \
    DEFAULT_ENV_FILE \
    SYS_MMCSD_RAW_MODE_U_BOOT_PARTITION_TYPE \
    SYS_MMC_ENV_DEV \
    SYS_REDUNDAND_ENVIRONMENT \
    USE_DEFAULT_ENV_FILE \
    "

# CONFIG_ENV_DEFAULT_ENV_TEXT_FILE is looked up from the build folder, CONFIG_DEVICE_TREE_INCLUDES from the sources.
do_configure:prepend:socfpga() {
    install -m 0644 ${UNPACKDIR}/environment.txt ${B}/environment.txt
    install -m 0644 ${UNPACKDIR}/capture-u-boot.dtsi ${S}/arch/arm/dts/capture-u-boot.dtsi
}
