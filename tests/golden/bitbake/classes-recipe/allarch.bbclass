# SPDX-License-Identifier: MIT
STUB_INHERITED += "allarch"
