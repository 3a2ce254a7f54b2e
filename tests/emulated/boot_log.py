# SPDX-License-Identifier: MIT
"""A board's boot log, from the boot ROM to the log-in, and the lines in it that may look like errors.

Which do, and are none, `tests/explained.py` tells.
"""

from __future__ import annotations

import re

from tests.emulated.conftest import Linux

NOT_ALWAYS = "busy host"  # in the reason of a line that comes only then
SUSPICIOUS = re.compile(
    r"error|fail|warn|not found|time-?out|timed out|unable|cannot|can't|\bbad\b|invalid|unsupported|mismatch|deprecat|"
    r"taint|dummy|not supported|not allowed|unknown|missing|denied|\*\*\*|\boops\b|\bbug\b|unexpected|abort",
    re.IGNORECASE,
)
# what a watchdog, a time-out or a failed trial is called when all is well; systemd's "[***   ] Job ... running"
HARMLESS = re.compile(
    r"^\[[ *]{6}\]|[Ww]atchdog running|servicing every|Kernel command line|failed trial|error, if any"
)
LEVELS = "emerg,alert,crit,err,warn"


def boot_log(linux: Linux) -> tuple[list[str], list[str]]:
    """Lines of the console that look suspicious, and what the kernel calls a warning or worse."""
    console = re.sub(
        r"\x1b\[[0-9;]*[A-Za-z]|\r", "", linux.emulator.console_log.read_text(errors="replace")
    ).splitlines()
    kernel = linux.target.output(["dmesg", f"--level={LEVELS}"], sudo=True).splitlines()
    return [line for line in console if SUSPICIOUS.search(line) and not HARMLESS.search(line)], kernel
