# SPDX-License-Identifier: MIT
KERNEL_CONFIG_COMMAND ?= ":"
do_configure() {
    ${KERNEL_CONFIG_COMMAND}
}
