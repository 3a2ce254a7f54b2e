# SPDX-License-Identifier: MIT
"""CPU seconds of a command and of all that it leaves behind: `python3 cpu_time.py COMMAND...`, on its standard output.

BitBake's server detaches itself from the client that started it, so no parent is told what it took. This process
asks Linux for the orphans (prctl(2), PR_SET_CHILD_SUBREAPER), and waits for each. What the command says goes to
standard error; its exit status is ours. CPU seconds, unlike seconds, hardly depend on what else the computer does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run the command line."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    status = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr)  # noqa: S603  # argv, no shell
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime)
    return status


if __name__ == "__main__":
    sys.exit(main())
