# SPDX-License-Identifier: MIT
COMPATIBLE_MACHINE ?= "^$"
