# SPDX-License-Identifier: MIT
"""hawkbit-client: what the board does beside rauc-hawkbit-updater.

    hawkbit-client run        what hawkbit-client.service runs: commit what hawkBit's client has installed before this
                              boot, if it is good (`verdict.py`); then write the client's configuration to
                              /run/hawkbit-client/config.conf (`configuration.py`) and start the client
    hawkbit-client name       the board's name on the server, to register it there
    hawkbit-client configure  write the configuration, no more

Without /data/identity/hawkbit.token the board asks no server. Exit status: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hawkbit_client import configuration, verdict
from hawkbit_client.configuration import Settings, Unusable
from hawkbit_client.verdict import Board

USER = "rauc-hawkbit"


class Places(NamedTuple):
    """Where things are; tests have them elsewhere."""

    settings: Path = Path("/usr/share/cyclone-capture/hawkbit.json")
    release: Path = Path("/usr/share/cyclone-capture/release.json")
    machine_id: Path = Path("/etc/machine-id")
    hostname: Path = Path("/proc/sys/kernel/hostname")
    token: Path = Path("/data/identity/hawkbit.token")
    download: Path = Path(configuration.DOWNLOAD).parent
    out: Path = Path("/run/hawkbit-client/config.conf")
    user: str = USER


def main(arguments: Sequence[str] | None = None, places: Places = Places(), board: Board | None = None) -> int:  # noqa: B008  # frozen
    """Run one command; its exit status."""
    parser = argparse.ArgumentParser(prog="hawkbit-client", description="The board's side of hawkBit.")
    parser.add_argument("command", choices=("run", "name", "configure"))
    command = parser.parse_args(arguments).command
    try:
        found = configuration.settings(places.settings)
        name = configuration.target_name(found.board, _text(places.machine_id))
        if command == "name":
            print(name)
        elif not places.token.exists():
            print(f"no {places.token}: this board ({name}) asks no server", flush=True)
        else:
            _act(command, places, found, name, board or Board())
    except (Unusable, OSError) as error:
        print(f"hawkbit-client: {error}", file=sys.stderr)
        return 1
    return 0


def _act(command: str, places: Places, found: Settings, name: str, board: Board) -> None:
    secret = configuration.token(places.token)
    if command == "run":
        verdict.settle(board, lambda: board.answers(found, name, secret), _say, time.sleep)
    told = configuration.attributes(found.board, _text(places.hostname), _version(places.release), board.status())
    write(places, configuration.text(found, name, secret, told), found.stream)
    _say(f"{found.server} is asked for upgrades, as {name}")
    if command == "run":
        board.start()


def write(places: Places, text: str, stream: bool) -> None:
    """Write the configuration, which the client may read and nobody else; its folder for downloads is made."""
    if not stream:
        places.download.mkdir(mode=0o700, exist_ok=True)
        shutil.chown(places.download, places.user, places.user)
    scratch = places.out.with_name(places.out.name + ".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as stream_:
        stream_.write(text)
    shutil.chown(scratch, places.user, places.user)
    scratch.rename(places.out)


def _version(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(f"{path}: no version in it: {error}") from error


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _say(text: str) -> None:
    print(text, flush=True)
