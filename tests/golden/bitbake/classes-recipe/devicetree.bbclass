# SPDX-License-Identifier: MIT
STUB_INHERITED += "devicetree"
COMPATIBLE_MACHINE ?= "^$"
