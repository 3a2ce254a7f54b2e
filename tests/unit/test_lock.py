# SPDX-License-Identifier: MIT
"""The lock of the upstream layers: what is broken in it, and moving it, against repositories of the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from firmware import lock
from firmware.errors import ToolError, UserError

pytestmark = pytest.mark.unit


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    command = ["/usr/bin/env", "git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, subject: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository with two commits on branch "main"."""
    folder = tmp_path / "upstream"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, "first")
    return folder


@pytest.fixture
def layers(tmp_path: Path, upstream: Path) -> Path:
    """A folder with both files; the lock names the first commit."""
    folder = tmp_path / "layers"
    folder.mkdir()
    (folder / lock.UPSTREAM).write_text(
        f"header: {{version: 23}}\nrepos:\n  one: {{url: '{upstream}', branch: main}}\n"
    )
    lock.write([lock.Layer("one", str(upstream), "main", git(upstream, "rev-parse", "HEAD"))], folder)
    return folder


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (lock.LOCK, None, r"no .*upstream\.lock\.yml \(valid: the file as committed"),
        (lock.LOCK, "[", r"upstream\.lock\.yml: no valid YAML"),
        (lock.LOCK, "[]", r"a kas file is a mapping, this is list"),
        (lock.LOCK, "overrides: {repos: {}}", r"one: commit None is none \(valid: 40 hexadecimal digits"),
        (lock.LOCK, "overrides: {repos: {one: {commit: main}}}", r"one: commit 'main' is none"),
        (lock.LOCK, "overrides: {repos: {two: {commit: x}}}", r"two: no such layer \(valid: one\)"),
    ],
)
def test_broken_lock_is_refused(layers: Path, name: str, text: str | None, said: str) -> None:
    if text is None:
        (layers / name).unlink()
    else:
        (layers / name).write_text(text)
    with pytest.raises(UserError, match=said):
        lock.layers(layers)


def test_unreachable_repository_leaves_the_lock_alone(layers: Path, upstream: Path) -> None:
    before = (layers / lock.LOCK).read_text()
    upstream.rename(upstream.with_name("gone"))
    with pytest.raises(ToolError, match="ls-remote"):
        lock.report(update=True, folder=layers)
    assert (layers / lock.LOCK).read_text() == before


def test_branch_that_is_gone_is_said(layers: Path, upstream: Path) -> None:
    git(upstream, "branch", "-m", "other")
    with pytest.raises(UserError, match=r"one: .*upstream has no branch 'main'"):
        lock.report(update=True, folder=layers)


def test_broken_premirrors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAS_PREMIRRORS", "just-one-word")
    with pytest.raises(UserError, match=r"KAS_PREMIRRORS: 'just-one-word' \(valid: lines of a pattern"):
        lock.place("https://example.org/a")


def test_nothing_moves(layers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (layers / lock.LOCK).read_text()
    lock.report(update=True, folder=layers)
    assert "nothing moves" in capsys.readouterr().out
    assert (layers / lock.LOCK).read_text() == before


def test_update_shows_what_moves_and_writes_it(
    layers: Path, upstream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(upstream, "second")
    newest = commit(upstream, "third")
    lock.report(update=False, folder=layers)
    assert "third" not in capsys.readouterr().out
    lock.report(update=True, folder=layers)
    said = capsys.readouterr().out
    assert f"-> {newest[:12]}, 2 commits" in said
    assert [line.split()[-1] for line in said.splitlines() if line.startswith("    ")] == ["third", "second"]
    (layer,) = lock.layers(layers)
    assert layer.commit == newest


def test_rewritten_branch_is_shown_with_an_open_end(layers: Path, upstream: Path) -> None:
    git(upstream, "commit", "--quiet", "--amend", "--allow-empty", "-m", "rewritten")
    git(upstream, "reflog", "expire", "--expire=now", "--all")
    git(upstream, "gc", "--quiet", "--prune=now")
    (move,) = lock.moves(lock.layers(layers))
    assert move.subjects[0].endswith("rewritten")
    assert move.subjects[-1] == "..."


def test_mirror_is_asked_in_place_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAS_PREMIRRORS", raising=False)
    monkeypatch.setenv(lock.MIRRORS, str(tmp_path))
    assert lock.place("https://example.org/group/a.git") == f"{tmp_path}/group/a.git"
    monkeypatch.delenv(lock.MIRRORS)
    assert lock.place("https://example.org/group/a.git") == "https://example.org/group/a.git"
