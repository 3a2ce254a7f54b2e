# SPDX-License-Identifier: MIT
"""The release build's progress, failures and stopping, with real BitBake on recipes of the test's own (OE_MIRRORS)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import lock, openembedded, release
from firmware.errors import ToolError
from firmware.release import Command
from tests.emulated.waiting import until

pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif(not os.environ.get(lock.MIRRORS), reason="OE_MIRRORS names no mirror of OpenEmbedded"),
]

LAYER = """\
BBPATH .= ":${LAYERDIR}"
BBFILES += "${LAYERDIR}/*.bb"
BBFILE_COLLECTIONS += "tiny"
BBFILE_PATTERN_tiny = "^${LAYERDIR}/"
LAYERDEPENDS_tiny = "core"
LAYERSERIES_COMPAT_tiny = "wrynose"
"""
RECIPE = """\
SUMMARY = "Tiny"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${{COMMON_LICENSE_DIR}}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
INHIBIT_DEFAULT_DEPS = "1"
inherit nopackages allarch
do_patch[noexec] = "1"
do_configure[noexec] = "1"
do_install[noexec] = "1"
do_compile() {{
    {body}
}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build folder; `tiny.bb` in its layer is up to the test."""
    mirror = openembedded.mirror()
    assert mirror is not None
    upstream = openembedded.trees(mirror)
    (tmp_path / "layer" / "conf").mkdir(parents=True)
    (tmp_path / "layer" / "conf" / "layer.conf").write_text(LAYER)
    conf = f'MACHINE = "qemuarm"\nINHERIT:remove = "create-spdx"\n{openembedded.masked_conf(upstream)}'
    build = openembedded.BuildFolder(tmp_path / "build", upstream, [openembedded.STUBS, tmp_path / "layer"], conf)
    (tmp_path / "environment").write_text("\n".join(f"{k}={v}" for k, v in build.environment().items()))
    return tmp_path


def command(folder: Path, body: str) -> Command:
    (folder / "layer" / "tiny_1.0.bb").write_text(RECIPE.format(body=body))
    environment = dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines())
    mirror = openembedded.mirror()
    assert mirror is not None
    program = openembedded.trees(mirror)[openembedded.BITBAKE] / "bin" / "bitbake"
    argv = [sys.executable, str(program), "-w", str(folder / "events.json"), "-c", "compile", "tiny"]
    # as kas does: BitBake is its child, and inherits no file of kas's own
    script = f"import subprocess, sys; sys.exit(subprocess.call({argv!r}, cwd={str(folder / 'build')!r}))"
    return Command([sys.executable, "-c", script], environment, folder)


def test_failure_is_recipe_task_and_the_lines_that_matter(folder: Path) -> None:
    made = command(folder, 'for n in 1 2 3 4 5 6 7 8 9; do echo "compiling $n"; done; echo "x.c:3: error: no y"; false')
    with pytest.raises(ToolError) as caught:
        release.run(made)
    said = str(caught.value)
    assert "tiny: do_compile failed" in said
    assert "x.c:3: error: no y" in said
    assert "compiling 3" not in said
    assert f"{folder}/build/tmp/work/" in said


def test_nobody_provides(folder: Path) -> None:
    made = command(folder, ":")
    recipe = folder / "layer" / "tiny_1.0.bb"
    recipe.write_text(recipe.read_text() + 'DEPENDS += "no-such-thing"\n')
    with pytest.raises(ToolError, match=r"nothing PROVIDES 'no-such-thing', needed by tiny_1\.0\.bb"):
        release.run(made)


def fetching(folder: Path, uri: str, more: str = "") -> Command:
    made = command(folder, ":")
    recipe = folder / "layer" / "tiny_1.0.bb"
    recipe.write_text(recipe.read_text() + f'SRC_URI = "{uri}"\n{more}')
    return made


def test_revision_that_upstream_lacks(folder: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(folder / "origin")]
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        (folder / "origin").mkdir(exist_ok=True)
        subprocess.run([*git, *words], check=True)
    uri = f"git://{folder}/origin;protocol=file;branch=main"
    with pytest.raises(ToolError, match=r"tiny: do_fetch failed\n[^$]*Unable to find revision 0{39}1 in branch main"):
        release.run(fetching(folder, uri, f'SRCREV = "{1:040}"\n'))


def test_source_that_no_mirror_has_is_named(folder: Path) -> None:
    uri = "https://example.org/tiny-1.0.tar.gz"
    with pytest.raises(ToolError, match=r"tiny: do_fetch failed\n[^$]*https://example\.org/tiny-1\.0\.tar\.gz"):
        release.run(fetching(folder, uri, f'SRC_URI[sha256sum] = "{0:064}"\n'))


def test_full_disk_stops_the_build_and_is_said(folder: Path) -> None:
    """The task runs until BitBake's monitor, which asks for more than any disk has, has spoken."""
    os.mkfifo(folder / "go")
    made = command(folder, f"read word < {folder}/go")
    with (folder / "build" / "conf" / "local.conf").open("a") as stream:
        stream.write('BB_DISKMON_DIRS = "STOPTASKS,${TMPDIR},900000000G,100K"\n')

    def release_task() -> None:
        try:
            until(lambda: made.log.is_file() and "STOPTASKS" in made.log.read_text(), 60.0)
        finally:
            (folder / "go").write_text("go\n")

    threading.Thread(target=release_task, daemon=True).start()
    with pytest.raises(ToolError, match=rf"no room: \d+ MiB left at {folder}/build/tmp \(valid: "):
        release.run(made)


def test_killed_server_is_one_error_and_the_next_build_goes_on(folder: Path) -> None:
    """As when memory runs out: the kernel kills BitBake's server, without a word to anybody."""
    os.mkfifo(folder / "pid")
    made = command(folder, f"echo running > {folder}/pid; sleep 600")

    def kill() -> None:
        (folder / "pid").read_text()
        (lock_file,) = (folder / "build").glob("bitbake.lock")
        os.kill(int(lock_file.read_text().split()[0]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(ToolError, match=r"BitBake's server, process \d+, was killed[^$]*\(valid: build again"):
        release.run(made)
    thread.join()
    state = release.run(command(folder, ":"))
    assert state.failures == []


def test_progress_and_summary(folder: Path) -> None:
    lines: list[str] = []
    state = release.run(command(folder, "sleep 1"), lines.append, every=0)
    assert any("tiny:compile" in line and " of " in line for line in lines), lines
    assert state.done == state.total > 0
    assert state.slowest()[0][0] == "tiny"
    assert "slowest: tiny" in release.summary(state)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt; in a background job it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_lets_the_running_task_finish(folder: Path) -> None:
    """The task says when it runs, so the stop comes in its middle; it goes on only when it was not killed."""
    fifo, go, over = folder / "fifo", folder / "go", folder / "over"
    os.mkfifo(fifo)
    os.mkfifo(go)
    made = command(folder, f"echo running > {fifo}; read word < {go}; touch {over}")
    lines: list[str] = []

    def interrupt() -> None:
        fifo.read_text()
        os.kill(os.getpid(), signal.SIGINT)

    def release_task() -> None:
        try:
            until(lambda: "Keyboard Interrupt" in made.log.read_text(), 60.0)
        finally:
            go.write_text("go\n")

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("stopping when"):
            threading.Thread(target=release_task, daemon=True).start()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        release.run(made, say)
    thread.join()
    assert over.is_file()
    assert any(line.startswith("stopping when the running tasks are done") for line in lines)
