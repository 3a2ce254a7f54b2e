# SPDX-License-Identifier: MIT
"""The list of what upstream layers provide."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import names
from firmware.errors import UserError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("text", "said"), [(None, "no .*list.txt"), ("[providers]\na\n", "sections providers")])
def test_broken_list_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "list.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said):
        names.load(path)


@pytest.mark.parametrize("name", ["python3-asyncioo", "rauc-", "libubootenv-bins", "systemd-systemd", ""])
def test_unknown_package_is_unknown(name: str) -> None:
    assert not names.load().packs(name)


@pytest.mark.parametrize(
    "name",
    ["python3-core", "python3-asyncio", "rauc-service", "openssh-sshd", "kernel-module-nbd", "util-linux-sfdisk"],
)
def test_packages_are_known_also_those_split_when_built(name: str) -> None:
    assert names.load().packs(name)


def test_build_variants_follow_their_base() -> None:
    known = names.load()
    assert known.provides("virtual/kernel")
    assert known.provides("zstd-native")
    assert not known.provides("zstdd-native")


def test_close_names_are_offered() -> None:
    assert "python3-asyncio" in names.load().close("python3-asyncioo")


def test_written_list_is_read_again(tmp_path: Path) -> None:
    text = names.text(["a", "a-native", "only-native"], ["p", "p-dev", "q-doc"], ["^p-module-.*", "^p-dev"])
    (tmp_path / "list").write_text(text)
    found = names.load(tmp_path / "list")
    assert found.providers == {"a", "only-native"}
    assert found.packages == {"p", "q-doc"}
    assert found.dynamic == ("^p-module-.*",)
