# SPDX-License-Identifier: MIT
STUB_INHERITED += "kernel"
KERNEL_CONFIG_COMMAND ?= ":"
do_configure() {
    ${KERNEL_CONFIG_COMMAND}
}
