# SPDX-License-Identifier: MIT
"""The driver's KUnit tests, and KUnit itself for a kernel that was built without it.

The release kernel has no KUnit, so it is built as a module from that kernel's own `lib/kunit`: its part that belongs to
the kernel (hooks.c) comes along, the running test is noted in a variable instead of in its task, and what would look
into fields that a module has only in a kernel with KUnit (the module notifier of test.c) is left out: the tests' module
runs its suites itself. So is what needs functions that a module cannot call (user_alloc.c). Raises ToolError.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from firmware import driver, kernel, paths, tool
from firmware.stage import Stage

RECIPE = paths.ROOT / "recipes" / "capture-ring"
KUNIT, TESTS = "kunit.ko", "capture-ring-kunit.ko"
FOLDERS = ("src", "include", "kunit")


def framework(tree: Path, folder: Path) -> None:
    """Sources of KUnit in `folder`, and a Kbuild that makes `kunit.ko` of them."""
    shutil.copytree(tree / "lib" / "kunit", folder)
    objects = re.search(r"kunit-objs \+=((?:.*\\\n)*.*\n)", (folder / "Makefile").read_text())
    assert objects
    names = [name for name in objects[1].replace("\\\n", " ").split() if name != "user_alloc.o"]
    shutil.copyfile(tree / "lib" / "glob.c", folder / "glob.c")
    (folder / "Makefile").unlink()
    header = folder / "test-bug.h"
    shutil.copyfile(tree / "include" / "kunit" / header.name, header)
    replace(header, "IS_ENABLED(CONFIG_KUNIT)", "1")
    replace(header, "extern struct kunit_hooks_table", "extern struct kunit *kunit_test_of_all;\n\\g<0>")
    replace(folder / "hooks.c", "struct kunit_hooks_table kunit_hooks;", "\\g<0>\nstruct kunit *kunit_test_of_all;")
    replace(folder / "test.c", "#ifdef CONFIG_MODULES", "#if 0")
    replace(folder / "test.c", "is_kernel_rodata(", "0 && (")
    for path in folder.glob("*.[ch]"):
        path.write_text(path.read_text().replace("current->kunit_test", "kunit_test_of_all"))
    flags = f"-include $(src)/{header.name} -Wno-missing-prototypes -Wno-missing-declarations"
    lines = ["obj-m := kunit.o", f"kunit-objs := {' '.join(names)} hooks.o glob.o", f"ccflags-y := {flags}"]
    (folder / "Kbuild").write_text("\n".join(lines) + "\n")


def replace(path: Path, old: str, new: str) -> None:
    """Replace `old` in a file, where it must be, with `new`; `\\g<0>` in it is `old`."""
    text = path.read_text()
    assert old in text, (path.name, old)
    path.write_text(text.replace(old, new.replace("\\g<0>", old)))


def tests(folder: Path) -> None:
    """Sources of the driver's tests in `folder`."""
    for name in FOLDERS:
        shutil.copytree(RECIPE / name, folder / name)
    shutil.copyfile(folder / "kunit" / "Kbuild", folder / "Kbuild")


def build(built: Path) -> Path:
    """Folder with `kunit.ko` and `capture-ring-kunit.ko`, for a result of firmware/kernel.py without KUnit."""

    def work(folder: Path) -> None:
        scratch = folder / "scratch"
        scratch.mkdir()
        framework(kernel.linux(kernel.source()), scratch / "framework")
        tests(scratch / "tests")
        tool.run(driver.make_command(built / "tree", scratch / "framework"), log=scratch / "make.log")
        command = driver.make_command(built / "tree", scratch / "tests")
        symbols = f"KBUILD_EXTRA_SYMBOLS={scratch / 'framework' / 'Module.symvers'}"
        tool.run([*command, "W=1", symbols], log=scratch / "make.log")
        shutil.copyfile(scratch / "framework" / KUNIT, folder / KUNIT)
        shutil.copyfile(scratch / "tests" / TESTS, folder / TESTS)
        shutil.rmtree(scratch)

    texts = {"kernel": (built / "tree").resolve().parent.name, "code": Path(__file__).read_text(encoding="utf-8")}
    return Stage("kunit", texts=texts, files=tuple(RECIPE / name for name in FOLDERS)).make(work)
