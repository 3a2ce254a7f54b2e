# SPDX-License-Identifier: MIT
"""Bad links to a board with the product's image: refused with the reason and nothing changed, or resumed.

The server that lies is ours with one lie; a link drops when so much of what is new in the bundle has been sent. A board
without room, with a clock of 1970, or that refuses the tunnel is one that does so by its own settings.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from firmware import bundle, deploy, engine, httpd, transfer, tunnel
from firmware.deploy import Offer, Plan
from firmware.errors import TargetError
from firmware.ssh import Target
from firmware.tree import Tree
from tests.emulated.conftest import Linux
from tests.emulated.service_board import shell

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

MIB = 1 << 20
NEW_BYTES = 8 * MIB  # what no slot of the board holds yet
OVERHEAD_BYTES = 4 * MIB  # index and hash tree, twice when the link drops, and blocks that are new around the new ones
CONFIG = "/etc/ssh/sshd_config.d/10-capture.conf"
UNTOUCHED = "not installed, the running slot is untouched: "


@pytest.fixture(scope="module")
def inputs(linux: Linux) -> bundle.Inputs:
    deploy.verdict(linux.target)
    return engine.bundle_inputs(linux.board)


def variant(inputs: bundle.Inputs, folder: Path, name: str) -> Offer:
    """A bundle with a file of random bytes: so much at least has to go over the link."""
    version = f"{inputs.version.partition('+')[0]}+{name}"
    edits = Tree(inputs.epoch)
    edits.file("/usr/share/cyclone-capture/links", random.Random(name).randbytes(NEW_BYTES))  # noqa: S311  # repeatable
    made = bundle.variant(inputs, folder, edits, version)
    return Offer(inputs.board.name, version, made, hashlib.sha256(made.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def offer(inputs: bundle.Inputs, tmp_path_factory: pytest.TempPathFactory) -> Offer:
    return variant(inputs, tmp_path_factory.mktemp("offer"), "links")


def facts(linux: Linux) -> tuple[str, str, object]:
    """What must not change: slot, boot order, trial."""
    now = deploy.status(linux.target)
    return now["booted"], shell(linux, "fw_printenv BOOT_ORDER || rauc status mark-good booted"), now["trial"]


@contextmanager
def refused(linux: Linux, said: str) -> Iterator[None]:
    """What is done in the block is refused, because of `said`, and the board is as it was."""
    before = facts(linux)
    with pytest.raises(TargetError, match=said) as caught:
        yield
    print(f"\n    {caught.value}")
    linux.target.close()
    assert facts(linux) == before


def patch_server(monkeypatch: pytest.MonkeyPatch, server: type[httpd.RangeServer]) -> None:
    monkeypatch.setattr(tunnel, "RangeServer", server)


class OtherBytes(httpd.RangeServer):
    """Every 64 KiB one byte is another."""

    def read(self, offset: int, count: int) -> bytes:
        """Not what is there."""
        data = bytearray(super().read(offset, count))
        for at in range(-offset % (1 << 16), len(data), 1 << 16):
            data[at] ^= 1
        return bytes(data)


class Elsewhere(httpd.RangeServer):
    """What is asked for at one place is given from the one 4 KiB behind it."""

    def read(self, offset: int, count: int) -> bytes:
        """Not what is there."""
        return super().read(offset + 4096, count).ljust(count, b"\0")


class Shorter(httpd.RangeServer):
    """The file is half as long as it is."""

    def __init__(self, file: Path) -> None:
        """Lie about `file`."""
        super().__init__(file)
        self.size //= 2


class NoRanges(httpd.RangeServer):
    """Whatever part is asked for, it answers with the whole."""

    def __init__(self, file: Path) -> None:
        """Lie about `file`."""
        super().__init__(file)
        self.RequestHandlerClass = _Whole


class _Whole(httpd._Handler):
    def do_GET(self) -> None:
        del self.headers["Range"]
        super().do_GET()


class WrongRange(httpd.RangeServer):
    """The bytes are right, what it says of their place is not."""

    def __init__(self, file: Path) -> None:
        """Lie about `file`."""
        super().__init__(file)
        self.RequestHandlerClass = _WrongRange


class _WrongRange(httpd._Handler):
    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, "bytes 0-0/1" if keyword == "Content-Range" else value)


class Gone(httpd.RangeServer):
    """It knows no such file."""

    def __init__(self, file: Path) -> None:
        """Lie about `file`."""
        super().__init__(file)
        self.RequestHandlerClass = _Gone


class _Gone(httpd._Handler):
    def _answer(self, body: bool) -> None:
        self._head(HTTPStatus.NOT_FOUND, 0)


LIES = (OtherBytes, Elsewhere, Shorter, NoRanges, WrongRange, Gone)


@pytest.mark.parametrize("server", LIES, ids=lambda server: str(server.__name__))
def test_server_that_lies_is_refused(
    linux: Linux, offer: Offer, monkeypatch: pytest.MonkeyPatch, server: type[httpd.RangeServer]
) -> None:
    patch_server(monkeypatch, server)
    with refused(linux, UNTOUCHED + r"field-update: rauc install: .{10}"):
        transfer.install(linux.target, offer.bundle, offer.version)


@contextmanager
def changed(linux: Linux, change: str, back: str) -> Iterator[None]:
    """The shell command `change` holds in the block, `back` behind it."""
    shell(linux, change)
    linux.target.close()
    try:
        yield
    finally:
        linux.target.close()
        shell(linux, back)
        linux.target.close()


def test_board_that_refuses_the_tunnel(linux: Linux, offer: Offer) -> None:
    closed = (
        f"sed 's/^AllowTcpForwarding yes/AllowTcpForwarding no/' {CONFIG} >/run/closed.conf; "
        f"mount --bind /run/closed.conf {CONFIG}; systemctl reload ssh"
    )
    with (
        changed(linux, closed, f"umount {CONFIG}; systemctl reload ssh"),
        refused(linux, r"refuses a reverse tunnel: .*valid: AllowTcpForwarding yes"),
    ):
        transfer.install(linux.target, offer.bundle, offer.version)


def test_board_whose_data_partition_is_full(linux: Linux, offer: Offer) -> None:
    fill = "fallocate -l $(($(stat -f -c '%a*%S' /data) - 524288)) /data/fill"
    with (
        changed(linux, fill, "rm /data/fill"),
        refused(linux, r"(?s)not ready .*nothing was sent.*/data has \d+ bytes free .valid: at least 1048576"),
    ):
        deploy.deploy(linux.target, offer)


def test_board_whose_clock_is_in_1970(linux: Linux, offer: Offer) -> None:
    with changed(linux, "date +%s >/run/now; date -s @86400", "date -s @$(cat /run/now)"):
        with refused(linux, r"(?s)not ready .*nothing was sent.*the clock says 1970-01-02 .*by that the bundle's sig"):
            deploy.deploy(linux.target, offer)
        with refused(linux, r"(?s)not ready .*nothing was sent.*the clock says 1970-01-02: no signature is valid then"):
            transfer.install(linux.target, offer.bundle, offer.version, asks=["--ready"])
        with refused(linux, UNTOUCHED + r".*(not yet valid|signature)"):
            transfer.install(linux.target, offer.bundle, offer.version)


def dropping(target: Target, after: int, dropped: list[int]) -> type[httpd.RangeServer]:
    """A server whose link is cut, once, when it has sent `after` bytes."""

    class Dropping(httpd.RangeServer):
        def count(self, sent: int = 0, requests: int = 0) -> None:
            super().count(sent, requests)
            if self.bytes_sent >= after and not dropped:
                dropped.append(self.bytes_sent)
                target.transport.sock.close()

    return Dropping


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_link_that_drops_is_taken_up_again(
    linux: Linux, inputs: bundle.Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    offered = variant(inputs, tmp_path, f"drop{round(share * 100)}")
    dropped: list[int] = []
    said: list[str] = []
    patch_server(monkeypatch, dropping(linux.target, round(share * NEW_BYTES), dropped))
    sent = transfer.install(linux.target, offered.bundle, offered.version, say=said.append)
    print(f"\n    dropped after {dropped[0]} bytes, {sent} in all, of a bundle of {offered.bundle.stat().st_size}")
    assert any("the link was lost" in line for line in said)
    assert said[-1].startswith("installed: ")
    assert sent < NEW_BYTES + OVERHEAD_BYTES, "what was written before the link dropped is sent again"
    trial = deploy.status(linux.target)["trial"]
    assert (trial["version"], trial["phase"]) == (offered.version, "installed")
    shell(linux, "rauc status mark-active booted; rm /data/field-update/state.json")


def test_the_board_takes_a_bundle_after_all_that(linux: Linux, offer: Offer) -> None:
    """Behind the bad ones: what failed before has left nothing that keeps a good link from working."""
    outcome = deploy.deploy(linux.target, offer, plan=Plan(deadline_seconds=900))
    assert (outcome.action, outcome.version) == ("committed", offer.version)
