# SPDX-License-Identifier: MIT
"""The Yocto engine: check the host, render, run kas and BitBake, publish what they made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from firmware import (
    doctor,
    doctor_yocto,
    engine,
    lock,
    recipe,
    release,
    release_results,
    rendering,
    rootfs,
    signing,
    tool,
)
from firmware.board import Board
from firmware.errors import ToolError, UserError
from firmware.manifest import Manifest
from firmware.release import Wishes

EPOCH = "CYCLONE_CAPTURE_EPOCH"


def version() -> str:
    """Version of what is built: the product's, and the commit; CYCLONE_CAPTURE_VERSION is another."""
    tree = engine.git_description()
    return os.environ.get("CYCLONE_CAPTURE_VERSION") or rootfs.product_version() + (f"+{tree}" if tree else "")


def _prepared(boards: Sequence[Board], wishes: Wishes) -> release.Command:
    """Everything checked, then rendered: nothing is written before all of it is known to be good."""
    if wishes.target is not None:
        check_target(wishes.target)
    wanted = doctor_yocto.TARGET_BYTES if wishes.target or wishes.shell else doctor_yocto.BUILD_BYTES
    doctor.require(doctor_yocto.examine(boards, wanted))
    given = {EPOCH: engine.git_epoch(), **os.environ}
    made = release.command(boards, wishes, version(), signing.chosen(), given)
    made.environment[EPOCH] = given[EPOCH]
    for board in boards:
        rendering.check(board)
    release.prepare(made)
    for board in boards:
        rendering.write(board)
    return made


def check_target(target: str) -> None:
    """Raise UserError when `target` is no recipe of ours and none of OpenEmbedded-Core's."""
    from firmware import names

    own = ["capture-image", "capture-bundle", "linux-capture", *(one.name for one in recipe.load_all())]
    if target not in own and not names.load().provides(target):
        raise UserError(f"--target: no recipe {target!r} (valid: {', '.join(own)}, or one of {names.LIST.name})")


def build(boards: Sequence[Board]) -> list[Manifest]:
    """Image, bundle and the rest of each board, in one run, in `build/<board>/yocto/`. Raises FirmwareError."""
    made = _prepared(boards, Wishes())
    with tool.step("bitbake"):
        state = release.run(made)
    print(release.summary(state))
    series = next(layer.branch for layer in lock.layers() if layer.name == "openembedded-core")
    tree = engine.git_description()
    return [
        release_results.publish_results(
            board,
            release_results.deployed(board, boards),
            recipe.for_board(board, "yocto"),
            version(),
            tree,
            series,
        )
        for board in boards
    ]


def only(boards: Sequence[Board], engine_name: str, wishes: Wishes) -> str:
    """A target, the debug flavour, a shell with BitBake, or a look for known vulnerabilities; nothing is published.

    Raises FirmwareError.
    """
    if engine_name != "yocto":
        raise UserError("--target, --debug, --shell and --cve are the Yocto engine's (valid: with --engine=yocto)")
    if wishes.cve and (wishes.target or wishes.shell or wishes.debug):
        raise UserError("--cve looks at the image that is shipped (valid: without --target, --debug and --shell)")
    made = _prepared(boards, wishes)
    if wishes.shell:
        status = subprocess.call(made.argv, env={**os.environ, **made.environment})  # noqa: S603  # argv, no shell
        if status:
            raise ToolError(made.argv[:3], status, "", "the shell's own status")
        return ""
    with tool.step(f"bitbake {wishes.target or ''}".strip()):
        said = release.summary(release.run(made))
    reports = release_results.cve_reports(boards) if wishes.cve else []
    return "\n".join([said, *map(str, reports)])
