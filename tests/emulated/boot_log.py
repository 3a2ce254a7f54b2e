# SPDX-License-Identifier: MIT
"""A board's boot log, from the boot ROM to the log-in, and the lines in it that may look like errors.

Which do, and are none, stands in docs/emulator.md, each with its reason, and nowhere else: that table is read here.
"""

from __future__ import annotations

import re

from firmware import paths
from tests.emulated.conftest import Linux

HEADING = "## Lines of a boot log that look like errors, and are none"
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


def allowed() -> dict[str, str]:
    """Pattern -> reason, from the table in docs/emulator.md; `...` stands for anything."""
    text = (paths.ROOT / "docs" / "emulator.md").read_text().split(HEADING)[1].split("\n## ")[0]
    found = {}
    for row in re.findall(r"^\| (`.*?) \| (.*) \|$", text, re.MULTILINE):
        for line in re.findall(r"`([^`]+)`", row[0]):
            found[re.escape(line).replace(re.escape("..."), ".*")] = row[1]
    return found


def unexplained(lines: list[str], reasons: dict[str, str]) -> list[str]:
    return [line for line in lines if not any(re.search(pattern, line) for pattern in reasons)]


def boot_log(linux: Linux) -> tuple[list[str], list[str]]:
    """Lines of the console that look suspicious, and what the kernel calls a warning or worse."""
    console = re.sub(
        r"\x1b\[[0-9;]*[A-Za-z]|\r", "", linux.emulator.console_log.read_text(errors="replace")
    ).splitlines()
    kernel = linux.target.output(["dmesg", f"--level={LEVELS}"], sudo=True).splitlines()
    return [line for line in console if SUSPICIOUS.search(line) and not HARMLESS.search(line)], kernel
