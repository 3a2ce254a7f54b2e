# SPDX-License-Identifier: MIT
"""Debian sources: what is read from the host's apt settings, and which version of a package is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import host_apt, sources
from firmware.errors import UserError
from firmware.host_apt import Entry

pytestmark = pytest.mark.unit


def host(folder: Path, **files: str) -> host_apt.Mirror:
    """The mirror of a host whose apt folder holds `files` (`a__list` stands for `a.list`)."""
    parts = folder / "sources.list.d"
    parts.mkdir()
    for name, text in files.items():
        (parts / name.replace("__", ".")).write_text(text)
    return host_apt.mirror(host_apt.entries(folder))


NO_MIRROR = r"name no mirror of Debian \(valid: an entry with component main"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense\n\ndeb\ndeb http://only.an.address\n",
        "# deb http://mirror.example/debian bookworm main\n",
        "deb https://other.example/linux/debian bookworm stable\n",
        "deb https://other.example/node_20.x bookworm main\n",
        "deb http://other.example/ubuntu jammy main\n",
        "deb cdrom:[Debian GNU/Linux 12]/debian bookworm main\n",
        "deb file:/srv/debian bookworm main\n",
    ],
)
def test_host_without_a_debian_mirror_is_told_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=NO_MIRROR):
        host(tmp_path, a__list=text)


def test_no_apt_folder_is_no_mirror(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=NO_MIRROR):
        host_apt.mirror(host_apt.entries(tmp_path / "absent"))


def test_disabled_and_foreign_files_do_not_count(tmp_path: Path) -> None:
    text = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
    with pytest.raises(UserError, match=NO_MIRROR):
        host(tmp_path, a__sources="Enabled: no\n" + text, b__sources__disabled=text)


def test_one_line_entries_with_options() -> None:
    text = (
        "deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian/ bookworm main contrib # x\n"
        "deb-src http://mirror.example/debian bookworm-updates main\n"
        "  deb http://sec.example/debian-security bookworm-security main\n"
    )
    found = host_apt.parse_one_line(text)
    assert found[0] == Entry(("http://mirror.example/debian/",), ("bookworm",), ("main", "contrib"))
    assert host_apt.mirror(found) == host_apt.Mirror(
        "http://mirror.example/debian", "http://sec.example/debian-security"
    )


def test_deb822_entries_with_comments_continuation_and_two_paragraphs(tmp_path: Path) -> None:
    text = (
        "Types: deb\n# http://snapshot.example/archive/debian/20250520T000000Z\nURIs: http://mirror.example/debian\n"
        "Suites: bookworm\n bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/k.gpg\n"
        "\n"
        "Types: deb\nURIs: http://mirror.example/debian-security/\nSuites: bookworm-security\nComponents: main\n"
    )
    assert host_apt.parse_deb822(text)[0].suites == ("bookworm", "bookworm-updates")
    expected = host_apt.Mirror("http://mirror.example/debian", "http://mirror.example/debian-security")
    assert host(tmp_path, debian__sources=text) == expected


def test_mirror_file_and_snapshot_addresses() -> None:
    cloud = host_apt.parse_deb822(
        "Types: deb\nURIs: mirror+file:/etc/apt/mirrors/debian.list\nSuites: trixie\nComponents: main\n"
    )
    assert host_apt.mirror(cloud).main == "mirror+file:/etc/apt/mirrors/debian.list"
    snapshot = host_apt.parse_one_line("deb http://snapshot.example/archive/debian/20250520T000000Z trixie main")
    assert host_apt.mirror(snapshot).main == "http://snapshot.example/archive/debian/20250520T000000Z"


def test_a_host_without_security_archive_gets_none() -> None:
    assert host_apt.mirror([Entry(("http://inside.example/debian",), ("bookworm",), ("main",))]).security is None


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keyring.gpg"
    path.touch()
    monkeypatch.setattr(sources, "KEYRING", path)
    return path


def test_unknown_suite_names_the_valid_ones(keyring: Path) -> None:
    with pytest.raises(UserError, match=r"'jammy'.*bookworm, trixie"):
        sources.sources_list("jammy")


def test_missing_keyring_names_the_package(keyring: Path) -> None:
    keyring.unlink()
    with pytest.raises(UserError, match="debian-archive-keyring"):
        sources.sources_list("trixie")


def test_every_line_asks_for_debians_signature(keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sources, "mirror", lambda: host_apt.Mirror("http://m.example/debian", "http://s.example/debian-security")
    )
    lines = sources.sources_list("trixie", architecture="armhf").splitlines()
    assert lines == [
        f"deb [arch=armhf signed-by={keyring}] http://m.example/debian trixie main",
        f"deb [arch=armhf signed-by={keyring}] http://m.example/debian trixie-updates main",
        f"deb [arch=armhf signed-by={keyring}] http://s.example/debian-security trixie-security main",
    ]


def test_settings_that_weaken_signatures_are_not_taken_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = (
        'Acquire::AllowInsecureRepositories "true";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy.example:3142";\n'
        'Acquire::https::CaInfo "/etc/ssl/own.pem";\nAPT::Get::AllowUnauthenticated "true";\nAcquire::Retries "3";\n'
    )
    monkeypatch.setattr("firmware.tool.need", lambda program, package: program)
    monkeypatch.setattr("firmware.tool.capture", lambda command: dump)
    assert sources.host_settings().splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3142";',
        'Acquire::https::CaInfo "/etc/ssl/own.pem";',
        'Acquire::Retries "3";',
    ]


SHOWSRC = """\
Package: u-boot
Version: 2023.01+dfsg-2+deb12u1
Checksums-Sha256:
 aaaa 3612 u-boot_2023.01+dfsg-2+deb12u1.dsc
 bbbb 15684556 u-boot_2023.01+dfsg.orig.tar.xz

Package: u-boot
Version: 2023.01+dfsg-2+deb12u3
Checksums-Sha256:
 cccc 3612 u-boot_2023.01+dfsg-2+deb12u3.dsc

Package: u-boot-other
Version: 9999
"""


def test_a_package_that_the_suite_lacks_is_named() -> None:
    with pytest.raises(UserError, match="bookworm has no package 'linux-source-9'"):
        sources.pick(SHOWSRC, "linux-source-9", "bookworm")


def test_the_newest_version_wins_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "newer", lambda one, other: one > other)
    expected = sources.Version("u-boot", "2023.01+dfsg-2+deb12u3", "bookworm", "cccc")
    assert sources.pick(SHOWSRC, "u-boot", "bookworm") == expected
    turned = "\n\n".join(reversed(SHOWSRC.strip().split("\n\n")))
    assert sources.pick(turned, "u-boot", "bookworm") == expected
