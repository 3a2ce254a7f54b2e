# SPDX-License-Identifier: MIT
#
# For recipes whose sources are in the checkout or among the rendered files, not in a layer. BitBake tracks the files'
# contents, and leaves the folders out of a recipe's signature.

# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext - this is where a recipe's own sources are; nobody's are overridden
FILESEXTRAPATHS:prepend := "${CYCLONE_CAPTURE_ROOT}/recipes/${BPN}:${CYCLONE_CAPTURE_RENDERED}/recipes/${BPN}:${CYCLONE_CAPTURE_RENDERED}/overlay:${CYCLONE_CAPTURE_FABRIC}:${CYCLONE_CAPTURE_ROOT}/LICENSES:${CYCLONE_CAPTURE_ROOT}/board:"
