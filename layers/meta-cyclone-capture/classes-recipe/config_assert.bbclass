# SPDX-License-Identifier: MIT
#
# Kconfig drops what it does not know or cannot enable without a word. This class stops the build instead: after
# do_configure every line of every *.cfg in SRC_URI must stand in the built .config. Of two fragments that set the same
# symbol, the later one holds.
#
#   CONFIG_ASSERT_FILE      the built configuration (default: ${B}/.config)
#   CONFIG_ASSERT_SKIP      symbols (without CONFIG_) that this version has under another name or not at all

# nooelint: oelint.vars.noncoreoverride - new names, read by nobody but this class
CONFIG_ASSERT_FILE ?= "${B}/.config"
# nooelint: oelint.vars.noncoreoverride
CONFIG_ASSERT_SKIP ?= ""

def config_values(lines):
    """Symbol -> value of Kconfig lines; "is not set" is the value n."""
    import re
    values = {}
    for line in lines:
        found = re.match(r"CONFIG_(\w+)=(.*)$|# CONFIG_(\w+) is not set$", line.strip())
        if found:
            values[found.group(1) or found.group(3)] = found.group(2) or "n"
    return values

def config_violations(wanted, built, skip):
    """One line for each symbol of `wanted` that has another value in `built`; absent is n."""
    return [
        "CONFIG_%s is %s, the fragments say %s" % (symbol, built.get(symbol, "n"), value)
        for symbol, value in sorted(wanted.items())
        if symbol not in skip and built.get(symbol, "n") != value
    ]

# nooelint: oelint.vars.noncoreoverride
python do_assert_config() {
    wanted = {}
    for fragment in find_cfgs(d):
        with open(fragment) as lines:
            wanted.update(config_values(lines))
    with open(d.getVar("CONFIG_ASSERT_FILE")) as lines:
        built = config_values(lines)
    violations = config_violations(wanted, built, d.getVar("CONFIG_ASSERT_SKIP").split())
    if violations:
        bb.fatal("%s:\n%s" % (d.getVar("CONFIG_ASSERT_FILE"), "\n".join(violations)))
}
addtask assert_config after do_configure before do_compile
